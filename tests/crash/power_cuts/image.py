"""A picture of files and folders: what lies below some roots, really or after a power cut that was only thought of."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NOT_DURABLE: Final = "-shm"
"""SQLite maps this file into memory and makes it anew after a crash: it takes no part."""


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a file, and their hash."""

    data: bytes
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> Content:
        return cls(data, hashlib.sha256(data).hexdigest())


@dataclass(frozen=True, slots=True)
class Node:
    """Something that has a name: a file, a folder (no content) or a symlink (its target)."""

    kind: int
    content: Content | None = None
    target: str = ""
    mode: int = 0
    mtime_ns: int = 0


Image = dict[str, Node]
"""Every name below the roots; folders come before what is in them."""


def image_of(roots: Iterable[Path]) -> Image:
    """Return what really lies below the roots, the roots themselves left out."""
    found: Image = {}
    for root in roots:
        for path in sorted(root.rglob("*")):
            if path.name.endswith(NOT_DURABLE):
                continue
            status = path.lstat()
            kind = stat.S_IFMT(status.st_mode)
            content = Content.of(path.read_bytes()) if kind == stat.S_IFREG else None
            target = str(path.readlink()) if kind == stat.S_IFLNK else ""
            found[str(path)] = Node(kind, content, target, stat.S_IMODE(status.st_mode), status.st_mtime_ns)
    return found


def lay_out(image: Image, roots: Iterable[Path]) -> None:
    """Make the roots hold exactly `image`."""
    for root in roots:
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
    for name, node in image.items():
        path = Path(name)
        if node.content is not None:
            path.write_bytes(node.content.data)
        elif node.kind == stat.S_IFDIR:
            path.mkdir()
        else:
            path.symlink_to(node.target)
    for name, node in reversed(image.items()):  # what is in a folder first: writing there changes its time
        if node.kind != stat.S_IFLNK:
            Path(name).chmod(node.mode)
        if node.mtime_ns:
            os.utime(name, ns=(node.mtime_ns, node.mtime_ns), follow_symlinks=False)


def digest(image: Image) -> str:
    """Return what two images have in common when they hold the same; times and permissions do not count."""
    total = hashlib.sha256()
    for path, node in image.items():
        held = node.content.sha256 if node.content else node.target
        total.update(f"{path}\0{node.kind}\0{held}\0".encode(errors="surrogateescape"))
    return total.hexdigest()

"""Runs as instruments write them, and pictures of folders: their content, for later comparison."""

from __future__ import annotations

import hashlib
import os
import random
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from exlab_wizard.transfer.source.manifest import OWN_FOLDER

MIB: Final = 1 << 20
_AN_HOUR: Final = 3600

Picture = dict[str, tuple[int, int, int, str]]
"""Name to kind and permissions, time of last change in ns, size, and SHA-256 of everything below a folder."""


def write_run(folder: Path, files: Mapping[str, int], seed: int = 1) -> Path:
    """Write files of the given sizes with content that repeats nowhere, older than any `settle_s` of a test."""
    block = random.Random(seed).randbytes(MIB)  # noqa: S311 - content of a test run, no secret
    for name, size in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for start in range(0, size, MIB):
                head = f"{name}:{start}:".encode()
                file.write((head + block[len(head) :])[: min(MIB, size - start)])
        an_hour_ago = time.time() - _AN_HOUR
        os.utime(path, (an_hour_ago, an_hour_ago))
    return folder


def picture(folder: Path) -> Picture:
    """Return everything below `folder` except the folder that exlab-wizard adds to a published run."""
    seen: Picture = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.partition("/")[0] == OWN_FOLDER:
            continue
        status = path.lstat()
        digest = ""
        if stat.S_ISREG(status.st_mode):
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        elif stat.S_ISLNK(status.st_mode):
            digest = str(path.readlink())
        seen[name] = (status.st_mode, status.st_mtime_ns, status.st_size if digest else 0, digest)
    return seen

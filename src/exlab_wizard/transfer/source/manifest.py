"""The contents of a run at one moment: files, folders and symlinks, read without following any link.

Anything that cannot be copied (devices, sockets, unreadable files) is named before a byte moves.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from exlab_wizard.domain.job import ErrorKind
from exlab_wizard.errors import TransferError
from exlab_wizard.transfer.failures import FailureClassifier, changing
from exlab_wizard.transfer.files import durability
from exlab_wizard.transfer.files.tree import Tree

OWN_FOLDER: Final = ".exlab-wizard"
CHECKSUMS: Final = f"{OWN_FOLDER}/checksums.sha256"
RECEIPT: Final = f"{OWN_FOLDER}/receipt.json"
RESERVED: Final = frozenset({CHECKSUMS, RECEIPT})

_NAMED: Final = 5
_DAY_NS: Final = 86_400 * 10**9
_ALL_READ: Final = 0o444


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A regular file: `size` in bytes, time of last change in ns, permission bits."""

    path: str
    size: int
    mtime_ns: int
    mode: int


@dataclass(frozen=True, slots=True)
class SourceFolder:
    """A folder below the run: time of last change in ns, permission bits."""

    path: str
    mtime_ns: int
    mode: int


@dataclass(frozen=True, slots=True)
class SourceLink:
    """A symlink and where it points to, whether that exists or not."""

    path: str
    target: str
    mtime_ns: int


@dataclass(slots=True)
class Manifest:
    """Everything in a run. Paths are relative to it, with `/`, in the form of `os.fsdecode`; parents come first."""

    root: SourceFolder
    files: list[SourceFile] = field(default_factory=list)
    folders: list[SourceFolder] = field(default_factory=list)
    links: list[SourceLink] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def scan(tree: Tree, failures: FailureClassifier, check: Callable[[], None]) -> Manifest:
    """Return what is in the run `tree`; `check` is called for each folder and may raise to stop.

    Raises:
        TransferError: config when something in it cannot be copied, source_missing when the run is gone.
        TransferWaitError: it is being changed during the scan.
    """
    with failures.source("Cannot read the run", ""):
        status = tree.lstat("")
    manifest = Manifest(SourceFolder("", status.st_mtime_ns, stat.S_IMODE(status.st_mode)))
    refused: list[str] = []
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        check()
        with failures.source("Cannot list", folder):
            try:
                waiting += _scan_folder(tree, folder, manifest, refused)
            except PermissionError:
                refused.append(f"{folder or '.'!r} (folder not readable)")
    if refused:
        more = f" and {len(refused) - _NAMED} more" if len(refused) > _NAMED else ""
        hint = (
            f"These entries cannot be copied: {', '.join(sorted(refused)[:_NAMED])}{more}."
            " Remove them or make them readable for the account that runs exlab-wizard, then retry the job."
        )
        raise TransferError("Cannot copy", str(tree.root), hint, ErrorKind.CONFIG)
    manifest.files.sort(key=lambda file: file.path)
    manifest.folders.sort(key=lambda item: item.path)
    return manifest


def check_settled(manifest: Manifest, root: Path, settle_s: float, now_ns: int) -> None:
    """Return when no file was changed within `settle_s` seconds before `now_ns` (wall clock, ns since the epoch).

    Times up to a day ahead count as young: clocks of instruments differ. Later ones are nonsense and defer nothing.

    Raises:
        TransferWaitError: the run is still being written.
    """
    if settle_s <= 0:
        return
    young_from, young_to = now_ns - int(settle_s * 1e9), now_ns + _DAY_NS
    for file in manifest.files:
        if young_from < file.mtime_ns <= young_to:
            raise changing(str(root / file.path))


def check_unchanged(before: Manifest, after: Manifest, root: Path) -> None:
    """Return when two scans of one run found the same names, sizes, times and links.

    Raises:
        TransferWaitError: they did not; it names one of the differences.
    """
    if before.files != after.files:
        differing = set(before.files) ^ set(after.files)
        raise changing(str(root / min(file.path for file in differing)))
    if {item.path for item in before.folders} != {item.path for item in after.folders}:
        raise changing(str(root))
    if {(link.path, link.target) for link in before.links} != {(link.path, link.target) for link in after.links}:
        raise changing(str(root))


def _scan_folder(tree: Tree, folder: str, manifest: Manifest, refused: list[str]) -> list[str]:
    below: list[str] = []
    prefix = f"{folder}/" if folder else ""
    with tree.entries(folder) as entries:
        for entry in entries:
            path, status = prefix + entry.name, entry.stat(follow_symlinks=False)
            kind, mode, mtime_ns = stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode), status.st_mtime_ns
            if path == OWN_FOLDER and kind != stat.S_IFDIR:
                refused.append(f"{path!r} (the name is reserved for a folder)")
            elif kind == stat.S_IFREG:
                if path in RESERVED:
                    manifest.skipped.append(path)
                    continue
                manifest.files.append(SourceFile(path, status.st_size, mtime_ns, mode))
                if mode & _ALL_READ != _ALL_READ and not tree.readable(path):
                    refused.append(f"{path!r} (not readable)")
            elif kind == stat.S_IFDIR and not durability.is_junction(status):
                manifest.folders.append(SourceFolder(path, mtime_ns, mode))
                below.append(path)
            elif kind == stat.S_IFLNK:
                manifest.links.append(SourceLink(path, os.fsdecode(tree.readlink(path)), mtime_ns))
            else:
                refused.append(f"{path!r} ({_KINDS.get(kind, 'special file')})")
    return below


_KINDS: Final = {
    stat.S_IFIFO: "FIFO",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
    stat.S_IFDIR: "junction",
}


def is_same(file: SourceFile, status: os.stat_result) -> bool:
    """Return whether an open source file is still what the scan saw."""
    return status.st_size == file.size and status.st_mtime_ns == file.mtime_ns

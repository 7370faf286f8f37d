"""Makes a verified run visible under its final path: with one rename, or file by file where the path is in use already.

Nothing that exists is replaced, except checksums and receipt of the same run, and those atomically.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from exlab_wizard.crash_points import Point, reached
from exlab_wizard.domain.job import ErrorKind
from exlab_wizard.durable import sync_file, sync_folder
from exlab_wizard.errors import TransferError
from exlab_wizard.transfer.destination.marker import MARKER, probe
from exlab_wizard.transfer.failures import FailureClassifier
from exlab_wizard.transfer.files.durability import write_all
from exlab_wizard.transfer.files.tree import Tree, sweep
from exlab_wizard.transfer.source.manifest import OWN_FOLDER

INCOMING: Final = ".exlab-incoming"
_TRIES: Final = 20
_TAKEN: Final = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR})
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV})


class FinalPathTakenError(Exception):
    """The final path was created while the run was being copied: compare it again."""


def make_folders(destination: Path, parts: Sequence[str], failures: FailureClassifier) -> Path:
    """Create folder after folder below `destination` and return the last; each is durable, existing ones too.

    Raises:
        TransferError: one cannot be created.
        TransferWaitError: the destination is offline or full.
    """
    folder = destination.joinpath(*parts)
    with failures.target("Cannot create the folder", folder):
        for tries_left in reversed(range(_TRIES)):
            try:
                _make_folders(destination, parts)
                break
            except FileNotFoundError:
                # Another job has just removed the empty folder above it.
                if not tries_left:
                    raise
    return folder


def _make_folders(destination: Path, parts: Sequence[str]) -> None:
    with Tree(destination) as tree:
        # Of the folder that is open: by its path, an empty mount point could have taken its place since.
        tree.lstat(MARKER)
        here = ""
        for part in parts:
            above, here = here, f"{here}/{part}" if here else part
            with suppress(FileExistsError):
                tree.mkdir(here)
            tree.sync_folder(above)  # also if it existed: its creator may have been cut off before this


def sync_way(destination: Path, final: Path) -> None:
    """Make the names on the way from `destination` down to `final` durable, including those that existed before.

    Raises:
        OSError: they are not.
    """
    while final != destination:
        final = final.parent
        sync_folder(final)


def write_own(tree: Tree, path: str, content: Iterable[bytes]) -> None:
    """Write a file of `.exlab-wizard/` atomically and durably, replacing the one before.

    Raises:
        OSError: it cannot be written.
    """
    if not tree.exists(OWN_FOLDER):
        tree.mkdir(OWN_FOLDER)
    fresh = path + ".new"
    with tree.opened(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as fd:
        for piece in content:
            write_all(fd, piece)
        sync_file(fd)
    tree.replace(fresh, path)
    tree.sync_folder(OWN_FOLDER)


def publish_whole(incoming: Path, final: Path, destination: Path, failures: FailureClassifier) -> None:
    """Rename the closed folder `incoming` to `final` below `destination`, whose parent exists, and make that durable.

    Raises:
        FinalPathTakenError: the final path exists by now; nothing was changed.
        TransferError: the rename is refused.
        TransferWaitError: the destination is offline.
    """
    with failures.target("Cannot publish", final):
        try:
            if os.name == "nt":  # Windows does not rename over an empty folder
                with suppress(FileNotFoundError):
                    final.rmdir()
            reached(Point.PUBLISH_BEFORE_RENAME)
            incoming.rename(final)
        except OSError as error:
            if error.errno in _TAKEN:
                raise FinalPathTakenError from error
            raise
        reached(Point.PUBLISH_AFTER_RENAME)
        sync_way(destination, final)
        with suppress(FileNotFoundError):  # another job that ended found it empty
            sync_folder(incoming.parent)
    remove_empty(incoming.parent)


def publish_file(incoming: Tree, final: Tree, path: str, failures: FailureClassifier) -> None:
    """Put one verified file into the final folder as well, or move it there; never over another.

    A name that is left in the incoming folder goes when the new one is durable: never before.

    Raises:
        TransferError: conflict when the name is taken; else as the system refuses.
        TransferWaitError: the destination is offline or full.
    """
    with failures.target("Cannot publish", final.root / path):
        try:
            incoming.link_to(path, final)
        except OSError as error:
            if isinstance(error, FileExistsError) or (error.errno in _NO_LINKS and final.exists(path)):
                raise conflict(final.root / path, "It was created while the run was being copied.") from error
            if error.errno not in _NO_LINKS:
                raise
            incoming.move_to(path, final)


def conflict(path: Path, what: str) -> TransferError:
    """Return the error for something at the final path that must not be replaced."""
    hint = f"{what} Move it away, rename the run, or give it an equipment id; then retry the job."
    return TransferError("Refusing to replace", str(path), hint, ErrorKind.CONFLICT)


def remove_empty(folder: Path) -> None:
    """Remove a folder if nothing is in it: other jobs may be using it."""
    with suppress(OSError):
        folder.rmdir()


def remove_leftovers(
    destination: Path, installation: str, is_over: Callable[[int], bool], marker_id: str = ""
) -> list[int]:
    """Remove the incoming folders whose job `is_over` for good, and return the numbers of those jobs.

    It touches only folders of this installation: other workstations share the destination.

    Raises:
        TransferWaitError: the destination is offline.
        OSError: a folder cannot be removed; the next poll tries again.
    """
    probe(destination, marker_id)
    ours = re.compile(rf"{re.escape(installation)}-(\d+)")
    incoming = destination / INCOMING
    removed: list[int] = []
    with suppress(FileNotFoundError):
        for folder in sorted(incoming.iterdir()):
            named = ours.fullmatch(folder.name)
            if named is None or not is_over(int(named[1])):
                continue
            with Tree(folder) as tree:
                sweep(tree, (), (), ())
            folder.rmdir()
            removed.append(int(named[1]))
    if removed:
        remove_empty(incoming)
    return removed

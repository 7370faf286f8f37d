"""Lists folders below a root for people who choose one, and never leaves the root.

Each step down is opened by a descriptor of the folder above it and never through a symlink, so that neither `..`, nor a
link, nor a folder that is exchanged meanwhile leads elsewhere. The number of entries read is bounded.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exlab_wizard.transfer.files import durability
from exlab_wizard.transfer.files.tree import DESCRIPTORS, descended

MOST_ENTRIES: Final = 20_000
MOST_STEPS: Final = 64
_LONGEST_NAME: Final = 255


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder in a listing; `changed_ns` is the time of its last change."""

    name: str
    changed_ns: int


@dataclass(frozen=True, slots=True)
class Listing:
    """The contents of a folder: its folders, the newest first, and counts; `complete` unless there were too many."""

    folders: list[Folder]
    files: int
    hidden: int
    links: int
    complete: bool


def steps_of(below: str) -> tuple[str, ...]:
    """Return the names on the way from a root to `below`, which has `/` between them; none for the root itself.

    Raises:
        ValueError: it is no plain way down.
    """
    steps = tuple(below.split("/")) if below else ()
    for step in steps:
        # On Windows the name of `C:` or `a:b` is not the whole of it: such a step would lead to another drive.
        if step in ("", "..") or Path(step).name != step or "\0" in step or len(step) > _LONGEST_NAME:
            msg = f"{below!r} is not a path below the folder"
            raise ValueError(msg)
    if len(steps) > MOST_STEPS:
        msg = f"{below[:80]!r}… is more than {MOST_STEPS} folders deep"
        raise ValueError(msg)
    return steps


def list_folder(root: Path, below: str = "", *, most: int = MOST_ENTRIES) -> Listing:
    """Return the contents of the folder `below` the root; `root`, chosen by an administrator, may itself be a link.

    Raises:
        ValueError: `below` is no plain way down.
        OSError: it is missing, may not be read, or a step of the way is a link.
    """
    folders: list[Folder] = []
    files = hidden = links = seen = 0
    with _opened(root, steps_of(below)) as place, os.scandir(place) as entries:
        for entry in entries:
            seen += 1
            if seen > most:
                break
            if _is_link(entry):
                links += 1
            elif not entry.is_dir(follow_symlinks=False):
                files += 1
            elif entry.name.startswith("."):
                hidden += 1
            else:
                folders.append(Folder(entry.name, _changed_ns(entry)))
    folders.sort(key=lambda folder: (-folder.changed_ns, folder.name))
    return Listing(folders, files, hidden, links, complete=seen <= most)


@contextmanager
def _opened(root: Path, steps: tuple[str, ...]) -> Iterator[int | str]:
    """Lend the folder at the end of the way: a descriptor, or its path where the system has no descriptors for it."""
    if not DESCRIPTORS:
        yield _walked(root, steps)
        return
    with descended(os.open(root, durability.FOLDER), steps) as place:
        yield place


def _walked(root: Path, steps: tuple[str, ...]) -> str:
    """Check each step instead: on Windows folders cannot be opened, and creating links takes an administrator."""
    place = root
    for step in steps:
        place /= step
        if _leads_elsewhere(place.lstat()):
            raise NotADirectoryError(20, os.strerror(20), str(place))
    return str(place)


def _is_link(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() or (sys.platform == "win32" and _leads_elsewhere(entry.stat(follow_symlinks=False)))


def _leads_elsewhere(status: os.stat_result) -> bool:
    # A junction is no symlink to Python, and leads elsewhere all the same.
    return stat.S_ISLNK(status.st_mode) or bool(getattr(status, "st_reparse_tag", 0))


def _changed_ns(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_mtime_ns
    except OSError:  # it has just gone
        return 0

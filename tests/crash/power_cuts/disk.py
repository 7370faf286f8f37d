"""A disk that loses its power: what may be left of files and folders when only some of it was made durable.

Two pictures are kept: `now`, as processes see it, and what has reached the disk for certain. Between them lie changes
that are pending: after a power cut any of them may have arrived and any not, later ones without earlier ones.

The rules, and where they come from:
- The bytes of a file are durable after fsync, fdatasync (its length too) or syncfs: POSIX, fsync(2), syncfs(2).
- Its name is durable only after an fsync of the folder that holds it, or syncfs: fsync(2), "an explicit fsync() on a
  file descriptor for the directory is also needed". ext4, XFS and btrfs give more for new files; nobody promised it.
- Times and permissions are durable after fsync or syncfs, not after fdatasync: fdatasync(2).
- A rename is atomic (POSIX rename()): both names change or none. It is durable when the folder of the new name is;
  syncing the folder of the old name alone is not relied on.
- A write may be torn at every 4 KiB, of the database at every 512 bytes. A file may have grown without having its
  bytes: it reads as zeros there (XFS, ext4 with delayed allocation).
- A folder is never removed while it holds something: every file system keeps itself whole.
"""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from tests.crash.power_cuts.image import NOT_DURABLE, Content, Image, Node
from tests.crash.power_cuts.record import Call, Record

PAGE: Final = 4096
SECTOR: Final = 512


@dataclass(slots=True)
class Surface:
    """Files and folders by number, as one of the two pictures has them."""

    files: dict[int, bytearray] = field(default_factory=dict)
    folders: dict[int, dict[str, int]] = field(default_factory=dict)
    meta: dict[int, tuple[int, int]] = field(default_factory=dict)


class Effect(Protocol):
    """What a change does to a picture."""

    def apply(self, surface: Surface) -> None:
        """Do it."""


@dataclass(frozen=True, slots=True)
class Bytes:
    """A part of a write that arrives whole or not at all."""

    inode: int
    offset: int
    data: bytes

    def apply(self, surface: Surface) -> None:
        file = surface.files[self.inode]
        if len(file) < self.offset:
            file.extend(bytes(self.offset - len(file)))
        file[self.offset : self.offset + len(self.data)] = self.data


@dataclass(frozen=True, slots=True)
class Growth:
    """A new, greater length; what was not written reads as zeros."""

    inode: int
    size: int

    def apply(self, surface: Surface) -> None:
        file = surface.files[self.inode]
        file.extend(bytes(max(0, self.size - len(file))))


@dataclass(frozen=True, slots=True)
class Truncation:
    """A new length, set."""

    inode: int
    size: int

    def apply(self, surface: Surface) -> None:
        file = surface.files[self.inode]
        del file[self.size :]
        file.extend(bytes(self.size - len(file)))


@dataclass(frozen=True, slots=True)
class Meta:
    """Permissions and time."""

    inode: int
    mode: int
    mtime_ns: int

    def apply(self, surface: Surface) -> None:
        surface.meta[self.inode] = (self.mode, self.mtime_ns)


@dataclass(frozen=True, slots=True)
class Name:
    """A name given to an inode; with `old`, a rename, which takes that name away in the same instant."""

    folder: int
    name: str
    inode: int
    old: tuple[int, str] | None = None

    def apply(self, surface: Surface) -> None:
        there = surface.folders[self.folder].get(self.name)
        if there is not None and surface.folders.get(there):
            return
        surface.folders[self.folder][self.name] = self.inode
        if self.old is not None and self.old != (self.folder, self.name):
            folder, name = self.old
            if surface.folders[folder].get(name) == self.inode:
                del surface.folders[folder][name]


@dataclass(frozen=True, slots=True)
class Removal:
    """A name taken away from `inode`."""

    folder: int
    name: str
    inode: int

    def apply(self, surface: Surface) -> None:
        names = surface.folders[self.folder]
        if self.name in names and not surface.folders.get(names[self.name]):
            del names[self.name]


@dataclass(eq=False, slots=True)
class Change:
    """An effect that is not durable yet, of the record `record`; `waits` are the inodes that must be synced for it."""

    number: int
    record: int
    effect: Effect
    waits: set[int]

    @property
    def is_name(self) -> bool:
        return isinstance(self.effect, Name | Removal)

    @property
    def is_data(self) -> bool:
        return isinstance(self.effect, Bytes)


class Disk:
    """Plays records and knows at each instant what is durable. Each root is a file system of its own."""

    def __init__(self, roots: Sequence[Path]) -> None:
        """Begin with what really lies below `roots`, all of it durable."""
        self.now, self._safe = Surface(), Surface()
        self.pending: dict[int, Change] = {}
        self.played = 0
        self._changes = self._inodes = 0
        self._of_kernel: dict[int, int] = {}
        self._links: dict[int, str] = {}
        self._root_of: dict[int, int] = {}
        self._ignored: set[int] = set()
        self._roots = {str(root): self._adopt(root, None) for root in roots}
        self._versions: dict[int, int] = {}
        self._contents: dict[tuple[int, int, tuple[int, ...]], Content] = {}

    def _adopt(self, path: Path, root: int | None) -> int:
        status = path.lstat()
        inode = self._new(status.st_ino, root)
        meta = (stat.S_IMODE(status.st_mode), status.st_mtime_ns)
        for surface in (self.now, self._safe):
            surface.meta[inode] = meta
        if path.is_symlink():
            self._links[inode] = str(path.readlink())
        elif path.is_dir():
            entries = {entry.name: entry for entry in sorted(path.iterdir())}
            self._ignored |= {entry.stat().st_ino for name, entry in entries.items() if name.endswith(NOT_DURABLE)}
            below = {
                name: self._adopt(entry, root or inode)
                for name, entry in entries.items()
                if not name.endswith(NOT_DURABLE)
            }
            for surface in (self.now, self._safe):
                surface.folders[inode] = dict(below)
        else:
            for surface in (self.now, self._safe):
                surface.files[inode] = bytearray(path.read_bytes())
        return inode

    def _new(self, kernel: int, root: int | None) -> int:
        self._inodes += 1
        self._of_kernel[kernel] = self._inodes
        self._root_of[self._inodes] = root or self._inodes
        return self._inodes

    def play(self, record: Record) -> None:
        """Let one record happen."""
        self.played += 1
        if record.path.endswith(NOT_DURABLE):
            if record.call is Call.CREATE:
                self._ignored.add(record.inode)
            return
        if record.call in (Call.CREATE, Call.MKDIR, Call.SYMLINK):
            self._ignored.discard(record.inode)
            self._make(record)
        elif record.inode in self._ignored:
            return
        elif record.call in (Call.FSYNC, Call.FDATASYNC):
            self._sync(self._of_kernel[record.inode], times_too=record.call is Call.FSYNC)
        elif record.call is Call.SYNCFS:
            self._sync_all(self._locate(record.path)[2])
        elif record.path:
            self._rename(record)
        else:
            self._change_file(record)

    def _make(self, record: Record) -> None:
        folder, name, _ = self._locate(record.path)
        inode = self._new(record.inode, self._root_of[folder])
        for surface in (self.now, self._safe):
            surface.meta[inode] = (record.mode, 0)
            if record.call is Call.CREATE:
                surface.files[inode] = bytearray()
            elif record.call is Call.MKDIR:
                surface.folders[inode] = {}
        if record.call is Call.SYMLINK:
            self._links[inode] = record.other
        self._add(Name(folder, name, inode), folder)

    def _rename(self, record: Record) -> None:
        folder, name, inode = self._locate(record.path)
        if record.call in (Call.UNLINK, Call.RMDIR):
            self._add(Removal(folder, name, inode), folder)
            return
        to, new, _ = self._locate(record.other)
        if record.call is Call.LINK:
            self._add(Name(to, new, inode), to)
        else:
            self._add(Name(to, new, inode, (folder, name)), to)

    def _change_file(self, record: Record) -> None:
        inode = self._of_kernel[record.inode]
        if record.call is Call.META:
            self._add(Meta(inode, record.mode, record.offset), inode)
        elif record.call is Call.TRUNCATE:
            self._add(Truncation(inode, record.offset), inode)
        else:
            end = record.offset + len(record.data)
            if end > len(self.now.files[inode]):
                self._add(Growth(inode, end), inode)
            grain = SECTOR if self._is_database(inode) else PAGE
            for start, piece in _pieces(record.offset, record.data, grain):
                self._add(Bytes(inode, start, piece), inode)

    def _is_database(self, inode: int) -> bool:
        return any(".db" in name for names in self.now.folders.values() for name, one in names.items() if one == inode)

    def _add(self, effect: Effect, *waits: int) -> None:
        effect.apply(self.now)
        self._changes += 1
        self.pending[self._changes] = Change(self._changes, self.played, effect, set(waits))

    def _sync(self, inode: int, *, times_too: bool) -> None:
        for change in list(self.pending.values()):
            if inode in change.waits and (times_too or not isinstance(change.effect, Meta)):
                change.waits.discard(inode)
                if not change.waits:
                    self._settle(change)

    def _sync_all(self, root: int) -> None:
        for change in list(self.pending.values()):
            if any(self._root_of[inode] == self._root_of[root] for inode in change.waits):
                self._settle(change)

    def _settle(self, change: Change) -> None:
        """Nothing can take this change away any more; nor, when a folder goes, what emptied it."""
        if isinstance(change.effect, Removal):
            for earlier in list(self.pending.values()):
                if earlier.number < change.number and change.effect.inode in _emptied(earlier.effect):
                    self._settle(earlier)
        change.effect.apply(self._safe)
        del self.pending[change.number]
        if isinstance(change.effect, Bytes | Growth | Truncation):
            inode = change.effect.inode
            self._versions[inode] = self._versions.get(inode, 0) + 1

    def _locate(self, path: str) -> tuple[int, str, int]:
        """Return folder, last name and inode (0: none) of a path, as processes see it."""
        root = next(root for root in self._roots if path == root or path.startswith(root + "/"))
        folder = inode = self._roots[root]
        name = ""
        for name in filter(None, path[len(root) :].split("/")):
            folder, inode = inode, self.now.folders[inode].get(name, 0)
        return folder, name, inode

    def after_cut(self, kept: Collection[int]) -> Image:
        """Return what is left when of the pending changes only the `kept` ones have reached the disk."""
        changes = [change for number, change in self.pending.items() if number in kept]
        surface = Surface(folders={inode: dict(names) for inode, names in self._safe.folders.items()})
        surface.meta = dict(self._safe.meta)
        of_file: dict[int, list[Change]] = {}
        for change in changes:
            if isinstance(change.effect, Name | Removal | Meta):
                change.effect.apply(surface)
            elif isinstance(change.effect, Bytes | Growth | Truncation):
                of_file.setdefault(change.effect.inode, []).append(change)
        return {
            path: self._node(surface, inode, of_file.get(inode, ()))
            for root, inode in self._roots.items()
            for path, inode in _walk(surface, root, inode)
        }

    def seen(self) -> Image:
        """Return what processes see now."""
        return {
            path: self._seen_node(inode)
            for root, inode in self._roots.items()
            for path, inode in _walk(self.now, root, inode)
        }

    def read_folder(self, path: str) -> list[bytes]:
        """Return the content of every file in a root, as processes see it."""
        return [bytes(self.now.files[inode]) for inode in self.now.folders[self._roots[path]].values()]

    def _seen_node(self, inode: int) -> Node:
        content = Content.of(bytes(self.now.files[inode])) if inode in self.now.files else None
        return Node(self._kind(inode), content, self._links.get(inode, ""), *self.now.meta[inode])

    def _kind(self, inode: int) -> int:
        if inode in self._links:
            return stat.S_IFLNK
        return stat.S_IFDIR if inode in self.now.folders else stat.S_IFREG

    def _node(self, surface: Surface, inode: int, changes: Sequence[Change]) -> Node:
        content = None
        if inode in self._safe.files:
            key = (inode, self._versions.get(inode, 0), tuple(change.number for change in changes))
            content = self._contents.get(key)
            if content is None:
                alone = Surface(files={inode: bytearray(self._safe.files[inode])})
                for change in changes:
                    change.effect.apply(alone)
                content = self._contents[key] = Content.of(bytes(alone.files[inode]))
        return Node(self._kind(inode), content, self._links.get(inode, ""), *surface.meta[inode])


def _emptied(effect: Effect) -> tuple[int, ...]:
    """Return the folder from which the effect took something."""
    if isinstance(effect, Removal):
        return (effect.folder,)
    return (effect.old[0],) if isinstance(effect, Name) and effect.old else ()


def _walk(surface: Surface, path: str, inode: int) -> Iterator[tuple[str, int]]:
    for name, below in sorted(surface.folders[inode].items()):
        yield f"{path}/{name}", below
        if below in surface.folders:
            yield from _walk(surface, f"{path}/{name}", below)


def _pieces(offset: int, data: bytes, grain: int) -> Iterator[tuple[int, bytes]]:
    start = 0
    while start < len(data):
        end = min(len(data), start + grain - (offset + start) % grain)
        yield offset + start, data[start:end]
        start = end

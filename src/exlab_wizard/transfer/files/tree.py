"""One folder tree, reached by names relative to its root.

Where the system can, every call goes through a descriptor of the root (and of folders below it when the name is long),
so that paths longer than the system's limit work. Everything raises OSError as the system does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar

from exlab_wizard.durable import sync_file
from exlab_wizard.transfer.files import durability

_T = TypeVar("_T")
DESCRIPTORS: Final = os.open in os.supports_dir_fd and os.scandir in os.supports_fd
_LINK_TIMES: Final = os.utime in os.supports_follow_symlinks
_SHORT: Final = 250  # characters: at most 1,000 bytes, below every system's PATH_MAX


class Tree(AbstractContextManager["Tree"]):
    """An open folder. Names use `/`; the empty name is the root. Safe to use from several threads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._fd: int | None = None
        if DESCRIPTORS:
            self._fd = os.open(root, durability.FOLDER)
        elif not root.is_dir():
            raise NotADirectoryError(20, os.strerror(20), str(root))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close it."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def open(self, name: str, flags: int, mode: int = 0o666) -> int:
        """Open a file, never through a symlink, and return its descriptor."""
        flags |= durability.PLAIN | durability.NOFOLLOW
        return self._at(lambda at, fd: os.open(at, flags, mode, dir_fd=fd), name)

    @contextmanager
    def opened(self, name: str, flags: int) -> Iterator[int]:
        """Open a file for the `with` block."""
        fd = self.open(name, flags)
        try:
            yield fd
        finally:
            os.close(fd)

    def lstat(self, name: str) -> os.stat_result:
        """Return what the entry itself is, not what it points to."""
        return self._at(lambda at, fd: os.stat(at, dir_fd=fd, follow_symlinks=False), name)

    def find(self, name: str) -> os.stat_result | None:
        """Return what `lstat` does; None when there is no entry of that name."""
        try:
            return self.lstat(name)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def exists(self, name: str) -> bool:
        """Return whether there is an entry of that name, a dangling symlink included."""
        return self.find(name) is not None

    def readable(self, name: str) -> bool:
        """Return whether this process may read the file, as far as permission bits tell."""
        return self._at(lambda at, fd: os.access(at, os.R_OK, dir_fd=fd), name)

    def mkdir(self, name: str) -> None:
        """Create a folder that its owner can write into."""
        self._at(lambda at, fd: os.mkdir(at, 0o777, dir_fd=fd), name)

    def unlink(self, name: str) -> None:
        """Remove a file or symlink."""
        self._at(lambda at, fd: os.unlink(at, dir_fd=fd), name)

    def rmdir(self, name: str) -> None:
        """Remove an empty folder."""
        self._at(lambda at, fd: os.rmdir(at, dir_fd=fd), name)

    def symlink(self, target: str, name: str) -> None:
        """Create a symlink that points to `target`."""
        self._at(lambda at, fd: os.symlink(target, at, dir_fd=fd), name)

    def readlink(self, name: str) -> str:
        """Return where a symlink points to."""
        return self._at(lambda at, fd: os.readlink(at, dir_fd=fd), name)

    def chmod(self, name: str, mode: int) -> None:
        """Set permission bits."""
        self._at(lambda at, fd: os.chmod(at, mode, dir_fd=fd), name)

    def utime(self, name: str, mtime_ns: int) -> None:
        """Set the time of last change, in nanoseconds; of a symlink itself where the system can."""
        times, follow = (mtime_ns, mtime_ns), not _LINK_TIMES
        self._at(lambda at, fd: os.utime(at, ns=times, dir_fd=fd, follow_symlinks=follow), name)

    def replace(self, name: str, other: str) -> None:
        """Rename `name` to `other` in the same folder, replacing it atomically. Both names must be short."""
        if self._fd is None:
            Path(self._plain(name)).replace(self._plain(other))
        else:
            os.replace(name, other, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def link_to(self, name: str, other: Tree) -> None:
        """Give the file `name` the same name in `other` as well; FileExistsError when that is taken."""
        self._at(
            lambda at, fd: other._at(
                lambda to, to_fd: os.link(at, to, src_dir_fd=fd, dst_dir_fd=to_fd, follow_symlinks=False), name
            ),
            name,
        )

    def move_to(self, name: str, other: Tree) -> None:
        """Move the file `name` into `other` under the same name, which may be replaced."""
        self._at(
            lambda at, fd: other._at(lambda to, to_fd: os.rename(at, to, src_dir_fd=fd, dst_dir_fd=to_fd), name), name
        )

    def sync_folder(self, name: str) -> None:
        """Make the entries of a folder durable, where folders can be opened."""
        if sys.platform == "win32":
            return
        with self.opened(name, durability.FOLDER) as fd:
            sync_file(fd)

    def sync_names(self, names: Iterable[str]) -> None:
        """Make the way to each of the named files durable: its own name, and those of the folders above it."""
        ways = {name[:at] for name in names for at in (0, *(at for at, letter in enumerate(name) if letter == "/"))}
        for folder in sorted(ways):
            self.sync_folder(folder)

    def syncs_at_once(self) -> bool:
        """Return whether `sync_all` is available here."""
        return self._fd is not None and durability.syncs_at_once(self._fd)

    def sync_all(self) -> None:
        """Make everything on this tree's file system durable; only where `syncs_at_once`."""
        if self._fd is not None:
            durability.sync_all(self._fd)

    @contextmanager
    def entries(self, name: str) -> Iterator[Iterator[os.DirEntry[str]]]:
        """List a folder; the entries can be asked for their lstat while the context is open."""
        if self._fd is None:
            with os.scandir(self._plain(name)) as found:
                yield found
            return
        with self.opened(name, durability.FOLDER) as fd, os.scandir(fd) as found:
            yield found

    def _at(self, call: Callable[[str, int | None], _T], name: str) -> _T:
        if self._fd is None:
            return call(self._plain(name), None)
        if len(name) <= _SHORT:
            return call(name or ".", self._fd)
        folder, _, last = name.rpartition("/")
        with descended(os.open(".", durability.FOLDER, dir_fd=self._fd), _steps(folder)) as fd:
            return call(last, fd)

    def _plain(self, name: str) -> str:
        root = str(self.root)
        if sys.platform != "win32":
            return os.path.join(root, name)  # noqa: PTH118 - hot, and names may be bytes that Path would not keep apart
        root = os.path.abspath(root)  # noqa: PTH100 - resolve() would ask the network
        if not root.startswith("\\\\?\\"):  # the prefix lifts the limit of 260 characters
            root = "\\\\?\\UNC" + root[1:] if root.startswith("\\\\") else "\\\\?\\" + root
        return (root + "\\" + name.replace("/", "\\")).rstrip("\\")


def sweep(tree: Tree, files: Collection[str], links: Collection[str], folders: Collection[str]) -> None:
    """Delete every entry of `tree` that is not one of the named files, symlinks or folders, of that very kind.

    Raises:
        OSError: something cannot be deleted.
    """
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        prefix = f"{folder}/" if folder else ""
        unknown: list[tuple[str, Callable[[Tree, str], None]]] = []
        with tree.entries(folder) as entries:
            for entry in entries:
                path = prefix + entry.name
                if entry.is_symlink():
                    if path not in links:
                        unknown.append((path, Tree.unlink))
                elif entry.is_dir(follow_symlinks=False):
                    if path in folders:
                        waiting.append(path)
                    else:
                        unknown.append((path, remove_folder))
                elif path not in files or not entry.is_file(follow_symlinks=False):
                    unknown.append((path, Tree.unlink))
        for path, remove in unknown:
            remove(tree, path)


def remove_folder(tree: Tree, path: str) -> None:
    """Delete the folder at `path` with everything in it.

    Raises:
        OSError: something cannot be deleted.
    """
    folders = [path]
    for folder in folders:  # grows while it is walked
        with tree.entries(folder) as entries:
            found = [(f"{folder}/{entry.name}", entry.is_dir(follow_symlinks=False)) for entry in entries]
        for name, below in found:
            if below:
                folders.append(name)
            else:
                tree.unlink(name)
    for folder in reversed(folders):
        tree.rmdir(folder)


@contextmanager
def descended(folder: int, steps: Iterable[str]) -> Iterator[int]:
    """Lend the folder at the end of `steps` below the open `folder`, which is closed; no last name of a step is a link.

    Raises:
        OSError: a step is missing, may not be read, or is a link.
    """
    try:
        for step in steps:
            deeper = os.open(step, durability.FOLDER | durability.NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = deeper
        yield folder
    finally:
        os.close(folder)


def _steps(folder: str) -> Iterator[str]:
    """Divide a long way into parts that are each short enough for the system."""
    step = ""
    for part in folder.split("/"):
        if step and len(step) + 1 + len(part) > _SHORT:
            yield step
            step = part
        else:
            step = f"{step}/{part}" if step else part
    if step:
        yield step

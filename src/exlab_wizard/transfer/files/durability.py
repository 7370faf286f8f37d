"""The calls that differ between operating systems: making bytes durable, starting write-back, dropping cached pages.

Every function has a fallback, so that callers never ask which system they run on. An OSError is raised only where
data could be lost by continuing; hints to the kernel may fail.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import sys
from collections.abc import Callable, Sequence
from typing import Final

from exlab_wizard.durable import full_sync, sync_file

if sys.platform != "win32":
    import fcntl

NOFOLLOW: Final[int] = getattr(os, "O_NOFOLLOW", 0)
PLAIN: Final[int] = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOINHERIT", 0)
FOLDER: Final[int] = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | PLAIN
_WRITE_BACK: Final = 2

# File systems whose syncfs reaches the disk (NFS: the server). On CIFS and FUSE only fsync asks the server to flush.
_SYNCFS_TRUSTED: Final = frozenset(
    {0xEF53, 0x58465342, 0x9123683E, 0x2FC12FC1, 0xF2F52010, 0x01021994, 0x794C7630, 0x6969}
)


_LIBC: Final[ctypes.CDLL | None] = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def sync_data(fd: int) -> None:
    """Return when the bytes of the open file `fd` (and its length) survive a power cut.

    Raises:
        OSError: they do not.
    """
    if sys.platform == "linux":
        os.fdatasync(fd)
    else:
        sync_file(fd)


def syncs_at_once(fd: int) -> bool:
    """Return whether one `sync_all` makes everything on the file system of `fd` durable."""
    if _LIBC is None or not hasattr(_LIBC, "syncfs"):
        return False
    answer = ctypes.create_string_buffer(512)
    if _LIBC.fstatfs(ctypes.c_int(fd), answer) != 0:
        return False
    return (ctypes.c_long.from_buffer(answer).value & 0xFFFFFFFF) in _SYNCFS_TRUSTED


def sync_all(fd: int) -> None:
    """Make everything on the file system of `fd` durable; only where `syncs_at_once` said so.

    Raises:
        OSError: the kernel reports a failed write-back.
    """
    if _LIBC is not None and _LIBC.syncfs(ctypes.c_int(fd)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def sync_each(names: Sequence[str], opened: Callable[[str, int], contextlib.AbstractContextManager[int]]) -> None:
    """Make the named files durable one by one; `opened(name, flags)` lends them.

    Raises:
        OSError: one of them is not.
    """
    flags = os.O_RDWR if sys.platform == "win32" else os.O_RDONLY
    for name in names:
        with opened(name, flags) as fd:
            os.fsync(fd)
    if sys.platform == "darwin" and names:
        with opened(names[-1], flags) as fd:  # one barrier empties the drive's cache of all of them
            full_sync(fd)


def start_write_back(fd: int, start: int, size: int) -> None:
    """Ask the kernel to begin writing `size` bytes from `start` to the disk now; never waits for them."""
    if _LIBC is not None and hasattr(_LIBC, "sync_file_range"):
        _LIBC.sync_file_range(ctypes.c_int(fd), ctypes.c_int64(start), ctypes.c_int64(size), ctypes.c_uint(_WRITE_BACK))


def drop_cached(fd: int, start: int, size: int) -> None:
    """Ask the kernel to forget its copy of clean pages (`size` 0: to the end), so that reading asks the destination."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.posix_fadvise(fd, start, size, os.POSIX_FADV_DONTNEED)
    elif sys.platform == "darwin":
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_NOCACHE, 1)


def umask() -> int:
    """Return the permission bits that this process takes away from what it creates."""
    try:
        with open("/proc/self/status", "rb") as status:  # noqa: PTH123 - a kernel table, not a file
            line = next(line for line in status if line.startswith(b"Umask:"))
        return int(line.split()[1], 8)
    except (OSError, StopIteration, ValueError):
        mask = os.umask(0o077)  # strict in between: another thread's file is never born too open
        os.umask(mask)
        return mask


def is_junction(status: os.stat_result) -> bool:
    """Return whether an entry is a Windows junction, which looks like a folder and may lead anywhere."""
    if sys.platform == "win32":
        return status.st_reparse_tag == stat.IO_REPARSE_TAG_MOUNT_POINT
    return False


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of `data`; a system call may take less than it was given.

    Raises:
        OSError: the rest cannot be written.
    """
    done = os.write(fd, data)
    while done < len(data):
        done += os.write(fd, memoryview(data)[done:])

"""Makes writes survive a power cut: a file's bytes, and separately its name.

A new, renamed or deleted file is durable only when its folder was synced too: syncing the file is not enough.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import Final

if sys.platform != "win32":
    import fcntl

_NO_SUCH_THING: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})


def sync_file(fd: int) -> None:
    """Return when bytes, times and permissions of the open file or folder `fd` survive a power cut.

    Raises:
        OSError: they do not.
    """
    if not full_sync(fd):
        os.fsync(fd)


def full_sync(fd: int) -> bool:
    """Flush the drive's cache too, which fsync on macOS does not; False elsewhere, and where a volume refuses."""
    if sys.platform != "darwin":
        return False
    try:
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    except OSError:
        return False
    return True


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where folders can be opened and synced.

    Raises:
        OSError: they are not.
    """
    if sys.platform == "win32":
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_file(fd)
    except OSError as error:
        if error.errno not in _NO_SUCH_THING:
            raise
    finally:
        os.close(fd)


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Make a folder and the missing ones above it; all their names are durable, including existing ones.

    Raises:
        OSError: it cannot be made.
    """
    missing = [folder]
    while not missing[-1].parent.is_dir():
        missing.append(missing[-1].parent)
    for one in reversed(missing):
        one.mkdir(mode=mode if one is folder else 0o777, exist_ok=True)
        # A parent that we may not read was created, durably, by an account that may: common for system services.
        with contextlib.suppress(PermissionError):
            sync_folder(one.parent)


def replace_file(path: Path, content: bytes, mode: int | None = None) -> None:
    """Replace a file by `content` in one step, durably: after a power cut it is the old file or the new one.

    Raises:
        OSError: it cannot be written; the old file is as it was.
    """
    part = path.with_name(f".{path.name.removeprefix('.')}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            if mode is not None:
                part.chmod(mode)
            file.write(content)
            file.flush()
            sync_file(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)

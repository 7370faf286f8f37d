"""One running application per state dir, by kernel locks, which are free the moment their holder dies.

Never a PID file: PIDs are reused, and a file outlives the process that wrote it. The lock file is locked, and the state
dir itself where the system locks folders: deleting a "stale" lock file does not let a second application in.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from exlab_wizard.errors import ExlabError, RefusedError
from exlab_wizard.paths import StateDir

if sys.platform != "win32":
    import fcntl


class InstanceHeldError(RefusedError):
    """Another process is the running application."""


@contextlib.contextmanager
def instance_lock(state_dir: StateDir) -> Iterator[None]:
    """Be the running application of a state dir in the block; never waits for the lock.

    Raises:
        InstanceHeldError: another process holds it.
        ExlabError: it cannot be locked.
    """
    with contextlib.ExitStack() as locks:
        try:
            locks.enter_context(FileLock(state_dir.lock, thread_local=False).acquire(timeout=0))
            _lock_folder(state_dir.root, locks)
        except (Timeout, BlockingIOError):
            msg = "exlab-wizard is running for this state dir. Quit it first: exlab-wizard quit"
            raise InstanceHeldError(msg) from None
        except OSError as error:
            msg = (
                f"the lock file {str(state_dir.lock)!r} cannot be locked: {error.strerror or error}. "
                "Remove that file, or make it writable for your account."
            )
            raise ExlabError(msg) from error
        yield


def _lock_folder(folder: Path, locks: contextlib.ExitStack) -> None:
    """Lock the state dir itself, where its file system locks folders; elsewhere the lock file must do."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    locks.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if isinstance(error, BlockingIOError):
            raise


def is_running(state_dir: StateDir) -> bool:
    """Return whether some process is the running application of this state dir."""
    if not state_dir.lock.exists() and not state_dir.database.exists():
        return False
    try:
        with instance_lock(state_dir):
            return False
    except InstanceHeldError:
        return True

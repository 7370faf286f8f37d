"""One running application per state dir, by kernel locks, which are free the moment their holder dies.

Never a PID file: PIDs are reused, and a file outlives the process that wrote it. The lock file is locked, and the state
dir itself where the system locks folders: deleting a "stale" lock file does not let a second application in.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from exlab_wizard.errors import ExlabError, RefusedError
from exlab_wizard.paths import StateDir

if sys.platform != "win32":
    import fcntl


class InstanceHeldError(RefusedError):
    """Another process is the running application."""


class InstanceLock:
    """The right to be the running application of a state dir."""

    def __init__(self, state_dir: StateDir) -> None:
        """Prepare the lock; nothing is acquired yet."""
        self._state_dir = state_dir
        self._lock = FileLock(state_dir.lock, thread_local=False)
        self._folder: int | None = None

    def acquire(self) -> None:
        """Acquire the lock without waiting.

        Raises:
            InstanceHeldError: another process holds it.
            ExlabError: it cannot be locked.
        """
        try:
            self._lock.acquire(timeout=0)
            self._lock_folder()
        except (Timeout, BlockingIOError):
            self.release()
            msg = "exlab-wizard is running for this state dir. Quit it first: exlab-wizard quit"
            raise InstanceHeldError(msg) from None
        except OSError as error:
            self.release()
            msg = (
                f"the lock file {str(self._state_dir.lock)!r} cannot be locked: {error.strerror or error}. "
                "Remove that file, or make it writable for your account."
            )
            raise ExlabError(msg) from error

    def _lock_folder(self) -> None:
        """Lock the state dir itself.

        Raises:
            BlockingIOError: another process has.
        """
        if sys.platform == "win32":
            return
        self._folder = os.open(self._state_dir.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # this file system locks no folders: the lock file must do
            self._release_folder()

    def release(self) -> None:
        """Release the lock; harmless if it is not acquired."""
        self._release_folder()
        self._lock.release()

    def _release_folder(self) -> None:
        folder, self._folder = self._folder, None
        if folder is not None:
            os.close(folder)

    def __enter__(self) -> Self:
        """Acquire the lock."""
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release it."""
        self.release()


def is_running(state_dir: StateDir) -> bool:
    """Return whether some process is the running application of this state dir."""
    if not state_dir.lock.exists() and not state_dir.database.exists():
        return False
    probe = InstanceLock(state_dir)
    try:
        probe.acquire()
    except InstanceHeldError:
        return True
    probe.release()
    return False

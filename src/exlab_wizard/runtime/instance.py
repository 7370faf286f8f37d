"""One running application per state dir, held by a kernel file lock: free the moment its holder dies.

Never a PID file: PIDs are reused, and a file outlives the process that wrote it.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from exlab_wizard.errors import RefusedError
from exlab_wizard.paths import StateDir


class InstanceHeldError(RefusedError):
    """Another process is the running application."""


class InstanceLock:
    """The right to be the running application of a state dir."""

    def __init__(self, state_dir: StateDir) -> None:
        """Prepare the lock; nothing is taken yet."""
        self._lock = FileLock(state_dir.lock, thread_local=False)

    def acquire(self) -> None:
        """Take the lock without waiting.

        Raises:
            InstanceHeldError: another process holds it.
        """
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            msg = "exlab-wizard is running for this state dir; quit it first with: exlab-wizard quit"
            raise InstanceHeldError(msg) from None

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        self._lock.release()

    def __enter__(self) -> Self:
        """Take the lock."""
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        self.release()


def is_running(state_dir: StateDir) -> bool:
    """Return whether some process is the running application of this state dir."""
    if not state_dir.lock.exists():
        return False
    probe = InstanceLock(state_dir)
    try:
        probe.acquire()
    except InstanceHeldError:
        return True
    probe.release()
    return False

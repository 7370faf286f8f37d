"""A thread that should live until its owner ends it, and can be started again when it did not."""

from __future__ import annotations

import threading
from collections.abc import Callable


class LastingThread:
    """One thread at a time, always with the same task."""

    def __init__(self, name: str, task: Callable[[], None]) -> None:
        """Prepare; nothing runs before `start`."""
        self._name = name
        self._task = task
        self._thread: threading.Thread | None = None
        self._may_end = False

    @property
    def alive(self) -> bool:
        """Whether it runs, was never started, or was told that it may end."""
        return self._thread is None or self._may_end or self._thread.is_alive()

    def start(self) -> None:
        """Start it, or start it again when it has died.

        Raises:
            RuntimeError: there is no thread to be had.
        """
        if self._thread is None or not self._thread.is_alive():
            thread = threading.Thread(target=self._task, name=self._name, daemon=True)
            thread.start()
            self._thread = thread

    def join(self, patience_s: float) -> None:
        """Expect it to end, and return when it has, or after `patience_s`. Its owner has told it to."""
        self._may_end = True
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(patience_s)

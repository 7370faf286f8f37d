"""A lock that is had in the order in which it was asked for.

`threading.Lock` goes to whoever is quickest, and that is the thread which has just released it: four workers that claim
without a pause would keep a quit from closing the gate.
"""

from __future__ import annotations

import threading
from collections import deque


class FairLock:
    """One thread at a time, first come, first served."""

    def __init__(self) -> None:
        """Begin free."""
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False

    def acquire(self, timeout: float) -> bool:
        """Return True when it is this thread's turn; False when that takes longer than `timeout` seconds."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return True
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        if mine.acquire(timeout=timeout):
            return True
        with self._guard:
            if mine in self._waiting:
                self._waiting.remove(mine)
                return False
        return True  # it was handed over while we gave up

    def release(self) -> None:
        """End this turn; the next in line has it at once."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False

"""A lock that threads acquire in the order in which they asked for it.

`threading.Lock` goes to the quickest thread, which is the one that has just released it: four workers that claim
without a pause would keep a quit from closing the gate.
"""

from __future__ import annotations

import threading
from collections import deque


class FairLock:
    """One thread at a time, first come, first served."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False

    def acquire(self, timeout: float) -> bool:
        """Return True when this thread has the lock; False when that takes longer than `timeout` seconds."""
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
        return True  # it was passed to us while we gave up

    def release(self) -> None:
        """Pass the lock to the next thread in line."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False

"""Counts the bytes that all transfers moved in the last minute."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final

WINDOW_SECONDS: Final = 60


class Throughput:
    """Counts in whole seconds. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: deque[list[int]] = deque(maxlen=WINDOW_SECONDS)
        self.total = 0
        """All that was ever counted."""

    def add(self, size: int) -> None:
        """Count `size` bytes now."""
        second = int(time.monotonic())
        with self._lock:
            if not self._seconds or self._seconds[-1][0] != second:
                self._seconds.append([second, 0])
            self._seconds[-1][1] += size
            self.total += size

    def last_minute(self) -> int:
        """Return how many bytes were counted in the last 60 seconds."""
        oldest = int(time.monotonic()) - WINDOW_SECONDS
        with self._lock:
            return sum(size for second, size in self._seconds if second > oldest)

"""A bandwidth limit that several transfers share, and that may change while they run; and what they move in all.

Each taker draws a ticket; bytes become available at the current rate and serve tickets in order. The limit is asked for
again at least every half second, so a schedule takes effect in the middle of a transfer.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from exlab_wizard.transfer.ports import TransferControl

_BURST_SECONDS: Final = 0.25
_RECHECK_SECONDS: Final = 0.5
_SLICE_SECONDS: Final = 0.2
_WINDOW_SECONDS: Final = 60


class TokenBucket:
    """The limit of one destination: `limit()` returns bytes per second, None for no limit; 0 lets nothing through."""

    def __init__(self, limit: Callable[[], float | None]) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._rate = limit()
        self._updated = time.monotonic()
        self._recheck_at = self._updated + _RECHECK_SECONDS
        self._granted = self._claimed = 0.0

    def take(self, size: int, control: TransferControl) -> None:
        """Return when `size` more bytes may be sent; waiting counts as a sign of life.

        Raises:
            StoppedError: a stop was requested meanwhile.
        """
        if self._rate is None and time.monotonic() < self._recheck_at:
            return
        with self._lock:
            self._refill()
            if self._rate is None:
                return
            self._claimed += size
            ticket = self._claimed
        while (pause := self._pause(ticket)) > 0:
            control.moved(0)
            if control.wait(pause):
                with self._lock:  # what is not sent serves those behind
                    self._granted += size
                control.check()

    def _pause(self, ticket: float) -> float:
        with self._lock:
            self._refill()
            missing = ticket - self._granted
            if missing <= 0 or self._rate is None:
                return 0.0
            return min(_SLICE_SECONDS, missing / self._rate) if self._rate > 0 else _SLICE_SECONDS

    def _refill(self) -> None:
        now = time.monotonic()
        if self._rate is not None:
            saved_up_to = self._claimed + self._rate * _BURST_SECONDS
            self._granted = min(self._granted + self._rate * (now - self._updated), max(saved_up_to, self._claimed))
        self._updated = now
        if now >= self._recheck_at:
            self._recheck_at = now + _RECHECK_SECONDS
            self._rate = self._limit()
            if self._rate is None:
                self._granted = self._claimed


class Throughput:
    """Counts the bytes that all transfers moved, in whole seconds. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: deque[list[int]] = deque(maxlen=_WINDOW_SECONDS)
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
        oldest = int(time.monotonic()) - _WINDOW_SECONDS
        with self._lock:
            return sum(size for second, size in self._seconds if second > oldest)

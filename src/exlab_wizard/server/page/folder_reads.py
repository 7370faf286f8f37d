"""Reads folders that may be on a share that hangs, only a few at once: the pool keeps threads for others."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Final, TypeVar

from exlab_wizard.server.thread_pools import ThreadPool

_T = TypeVar("_T")
MOST_AT_ONE_PLACE: Final = 2
MOST: Final = 3
"""One less than the pool has threads: one is left to add a run."""


class FolderReads:
    """The folder reads of one server."""

    def __init__(self, pool: ThreadPool) -> None:
        """Read in `pool`."""
        self._pool = pool
        self._lock = threading.Lock()
        self._running: Counter[str] = Counter()

    async def run(self, place: str, read: Callable[[], _T], timeout_s: float) -> _T:
        """Return what `read` returns about `place`, which is a root or a destination.

        Raises:
            TimeoutError: no answer within `timeout_s`, or earlier reads of that place hang.
        """
        with self._lock:
            if self._running[place] >= MOST_AT_ONE_PLACE or self._running.total() >= MOST:
                raise TimeoutError
            self._running[place] += 1

        def counted() -> _T:
            try:
                return read()
            finally:
                with self._lock:
                    self._running[place] -= 1

        return await self._pool.run(counted, timeout_s)

"""Looks at folders that may be on a share that hangs, few at a time: the lane has threads left for others."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Final, TypeVar

from exlab_wizard.server.thread_pools import Lane

_T = TypeVar("_T")
MOST_AT_ONE_PLACE: Final = 2
MOST: Final = 3
"""One less than the lane has threads: a run can still be handed in."""


class FolderLooks:
    """Those of one server."""

    def __init__(self, lane: Lane) -> None:
        """Look in `lane`."""
        self._lane = lane
        self._lock = threading.Lock()
        self._under_way: Counter[str] = Counter()

    async def at(self, place: str, look: Callable[[], _T], timeout_s: float) -> _T:
        """Return what `look` returns about `place`, which is a root or a destination.

        Raises:
            TimeoutError: no answer within `timeout_s`, or earlier looks hang there already.
        """
        with self._lock:
            if self._under_way[place] >= MOST_AT_ONE_PLACE or self._under_way.total() >= MOST:
                raise TimeoutError
            self._under_way[place] += 1

        def counted() -> _T:
            try:
                return look()
            finally:
                with self._lock:
                    self._under_way[place] -= 1

        return await self._lane.run(counted, timeout_s)

"""A thread that handles items one after another: the unit from which the copy pipelines are built.

The first error ends the stage; it is kept for the thread that owns the stage, and everything queued behind is dropped.
Leaving the `with` block never leaves the thread behind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, Self, TypeVar

_T = TypeVar("_T")


class PipelineStage(Generic[_T]):
    """Handles what is `put`, in order, at most `room` unfinished ones (0: without limit), within its `with` block."""

    def __init__(self, name: str, handle: Callable[[_T], None], room: int = 0) -> None:
        self._handle = handle
        self._room = threading.Semaphore(room) if room else None
        self._items: SimpleQueue[_T | None] = SimpleQueue()  # None: the end
        self._dropping = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Drop what is queued and return when the thread has ended."""
        self._dropping = True
        self._end()

    def put(self, item: _T) -> None:
        """Queue `item`, waiting for room; dropped when the stage has failed."""
        if self._room is not None:
            self._room.acquire()
        self._items.put(item)

    def check(self) -> None:
        """Raise the error that ended the stage, if one did."""
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Return when all that was put is handled; raise the error that ended the stage, if one did."""
        self._end()
        self.check()

    def _end(self) -> None:
        self._items.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (item := self._items.get()) is not None:
            try:
                if self._error is None and not self._dropping:
                    self._handle(item)
            except BaseException as error:  # boundary: raised again in the owner's thread by check()
                self._error = error
            if self._room is not None:
                self._room.release()

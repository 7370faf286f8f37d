"""A thread that handles items one after another: the unit from which the copy pipelines are built.

The first error ends the stage; it is kept for the thread that owns the stage, and everything queued behind is dropped.
Leaving the `with` block never leaves the thread behind.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

_T = TypeVar("_T")


class PipelineStage(Generic[_T]):
    """Handles what is `put`, in order, at most `room` unfinished ones (0: without limit)."""

    def __init__(self, name: str, handle: Callable[[_T], None], room: int = 0) -> None:
        """Prepare; the thread runs from entering the `with` block on."""
        self._handle, self._room = handle, room
        self._items: deque[_T] = deque()
        self._changed = threading.Condition()
        self._ending = self._busy = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Drop what is queued and return when the thread has ended."""
        with self._changed:
            self._items.clear()
            self._ending = True
            self._changed.notify_all()
        self._thread.join()

    def put(self, item: _T) -> None:
        """Queue `item`, waiting for room; dropped when the stage has failed."""
        with self._changed:
            while self._room and len(self._items) + self._busy >= self._room and self._error is None:
                self._changed.wait()
            if self._error is None:
                self._items.append(item)
                self._changed.notify_all()

    def check(self) -> None:
        """Raise the error that ended the stage, if one did."""
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Return when all that was put is handled; raise the error that ended the stage, if one did."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join()
        self.check()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._items and not self._ending:
                    self._changed.wait()
                if not self._items:
                    return
                item = self._items.popleft()
                self._busy = True
            try:
                self._handle(item)
            except BaseException as error:  # boundary: raised again in the owner's thread by check()
                with self._changed:
                    self._error = error
                    self._items.clear()
                    self._changed.notify_all()
                return
            with self._changed:
                self._busy = False
                self._changed.notify_all()

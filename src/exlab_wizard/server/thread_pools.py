"""Lanes: threads for what would block the event loop, apart by what they may have to wait for.

Reads wait for nobody, writes for each other and for other programs' locks, paths for file systems that hang: so a write
that waits three seconds keeps no read waiting, and a share that hangs no heartbeat. Each thread keeps one connection to
the database and closes it when it ends.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Final, Protocol, TypeVar

from exlab_wizard.server.errors import ApiError, Code
from exlab_wizard.store.sqlite.database import Database

_T = TypeVar("_T")
MOST_WAITING: Final = 1_000


class HeldByThread(Protocol):
    """What keeps something for each thread that uses it."""

    def release(self) -> None:
        """Give back what this thread holds."""


class Lane:
    """A few threads and one queue, first come, first served."""

    def __init__(self, name: str, threads: int, database: HeldByThread) -> None:
        """Have at most `threads` threads, each started when it is first needed."""
        self._name = name
        self._most = threads
        self._database = database
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._unanswered = 0

    @property
    def waiting(self) -> int:
        """How many calls are not answered yet."""
        return self._unanswered

    async def run(self, act: Callable[[], _T], timeout_s: float | None = None) -> _T:
        """Return what `act` returns, in a thread of this lane. For the event loop's thread.

        Raises:
            TimeoutError: no answer within `timeout_s`; the act is left behind.
            ApiError: too much waits already.
        """
        if self._unanswered >= MOST_WAITING:
            raise ApiError(Code.BUSY, "Too many requests wait already. Send this one again in a moment.")
        answer: Future[_T] = Future()

        def answered() -> None:
            if not answer.set_running_or_notify_cancel():
                return
            try:
                answer.set_result(act())
            except BaseException as error:  # boundary: whatever it was, it belongs to whoever waits for the answer
                answer.set_exception(error)

        self._unanswered += 1
        self._queue.put(answered)
        if len(self._threads) < min(self._most, self._unanswered):
            self._add_thread()
        try:
            return await asyncio.wait_for(asyncio.wrap_future(answer), timeout_s)
        finally:
            self._unanswered -= 1

    def close(self) -> None:
        """Let the threads end, each as soon as it is done with what it does."""
        for _ in self._threads:
            self._queue.put(None)

    def _add_thread(self) -> None:
        name = f"http-{self._name}-{len(self._threads) + 1}"
        thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _loop(self) -> None:
        try:
            while (act := self._queue.get()) is not None:
                act()
        finally:
            self._database.release()


class Lanes:
    """The lanes of one server."""

    def __init__(self, database: Database) -> None:
        """Start no thread yet."""
        self.reads = Lane("read", 3, database)
        # Writes of one process take turns anyway; the second only prepares while the first waits for the disk.
        self.writes = Lane("write", 2, database)
        self.paths = Lane("path", 4, database)
        self.windows = Lane("window", 1, database)

    def all(self) -> tuple[Lane, ...]:
        """Return all of them."""
        return self.reads, self.writes, self.paths, self.windows

    def close(self) -> None:
        """Let all threads end."""
        for lane in self.all():
            lane.close()

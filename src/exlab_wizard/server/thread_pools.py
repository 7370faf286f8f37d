"""Thread pools for work that would block the event loop, one pool for each thing that such work may wait for.

Reads wait for nothing, writes for each other and for other programs' locks, paths for file systems that hang. So a
write that waits three seconds delays no read, and a share that hangs delays no heartbeat. Each thread keeps one
connection to the database and closes it when it ends.
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


class PerThread(Protocol):
    """Keeps a resource, such as a connection, for each thread that uses it."""

    def release(self) -> None:
        """Release the resource of this thread."""


class ThreadPool:
    """A few threads and one queue, first come, first served."""

    def __init__(self, name: str, threads: int, database: PerThread) -> None:
        """Have at most `threads` threads, each started when it is first needed."""
        self._name = name
        self._most = threads
        self._database = database
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._unanswered = 0

    @property
    def waiting(self) -> int:
        """The number of calls that are not answered yet."""
        return self._unanswered

    async def run(self, act: Callable[[], _T], timeout_s: float | None = None) -> _T:
        """Return what `act` returns, in a thread of this pool. Call it in the event loop's thread.

        Raises:
            TimeoutError: no answer within `timeout_s`; the act keeps running and its result is dropped.
            ApiError: too many calls wait already.
        """
        if self._unanswered >= MOST_WAITING:
            raise ApiError(Code.BUSY, "Too many requests are waiting. Send this one again in a moment.")
        answer: Future[_T] = Future()

        def answered() -> None:
            if not answer.set_running_or_notify_cancel():
                return
            try:
                answer.set_result(act())
            except BaseException as error:  # boundary: any error goes to the caller that waits for the answer
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
        """End the threads, each after its present call."""
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


class ThreadPools:
    """The thread pools of one server."""

    def __init__(self, database: Database) -> None:
        """Start no thread yet; each starts when it is first needed."""
        self.reads = ThreadPool("read", 3, database)
        # Writes of one process take turns anyway; the second only prepares while the first waits for the disk.
        self.writes = ThreadPool("write", 2, database)
        self.paths = ThreadPool("path", 4, database)
        self.windows = ThreadPool("window", 1, database)

    def all(self) -> tuple[ThreadPool, ...]:
        """Return all of them."""
        return self.reads, self.writes, self.paths, self.windows

    def close(self) -> None:
        """End all threads."""
        for pool in self.all():
            pool.close()

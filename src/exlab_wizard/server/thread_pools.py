"""Thread pools for work that would block the event loop, one pool for each thing that such work may wait for.

Reads wait for nothing, writes for each other and for other programs' locks, paths for file systems that hang. So a
write that waits three seconds delays no read, and a share that hangs delays no heartbeat. Each thread keeps one
connection to the database and closes it when it ends.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Final, TypeVar

from exlab_wizard.server.errors import ApiError, Code
from exlab_wizard.store.sqlite.database import Database

_T = TypeVar("_T")
MOST_WAITING: Final = 1_000
MOST_READS_AT_ONE_PLACE: Final = 2
MOST_READS: Final = 3
"""How many folders are read at once: one less than the pool has threads, so that one is left to add a run."""


class ThreadPool:
    """At most `threads` threads, each started when it is first needed, and one queue, first come, first served.

    Each thread calls `release` when it ends. `waiting` is the number of calls that are not answered yet.
    """

    def __init__(self, name: str, threads: int, release: Callable[[], None]) -> None:
        self._name = name
        self._most = threads
        self._release = release
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self.waiting = 0

    async def run(self, act: Callable[[], _T], timeout_s: float | None = None) -> _T:
        """Return what `act` returns, in a thread of this pool. Call it in the event loop's thread.

        Raises:
            TimeoutError: no answer within `timeout_s`; the act keeps running and its result is dropped.
            ApiError: too many calls wait already.
        """
        if self.waiting >= MOST_WAITING:
            raise ApiError(Code.BUSY, "Too many requests are waiting. Send this one again in a moment.")
        answer: Future[_T] = Future()

        def answered() -> None:
            if not answer.set_running_or_notify_cancel():
                return
            try:
                answer.set_result(act())
            except BaseException as error:  # boundary: any error goes to the caller that waits for the answer
                answer.set_exception(error)

        self.waiting += 1
        self._queue.put(answered)
        if len(self._threads) < min(self._most, self.waiting):
            self._add_thread()
        try:
            return await asyncio.wait_for(asyncio.wrap_future(answer), timeout_s)
        finally:
            self.waiting -= 1

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
            self._release()


class FolderReads:
    """Reads folders that may be on a share that hangs, only a few at once: `pool` keeps threads for others."""

    def __init__(self, pool: ThreadPool) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._running: Counter[str] = Counter()

    async def run(self, place: str, read: Callable[[], _T], timeout_s: float) -> _T:
        """Return what `read` returns about `place`, which is a root or a destination.

        Raises:
            TimeoutError: no answer within `timeout_s`, or earlier reads of that place hang.
        """
        with self._lock:
            if self._running[place] >= MOST_READS_AT_ONE_PLACE or self._running.total() >= MOST_READS:
                raise TimeoutError
            self._running[place] += 1

        def counted() -> _T:
            try:
                return read()
            finally:
                with self._lock:
                    self._running[place] -= 1

        return await self._pool.run(counted, timeout_s)


class ThreadPools:
    """The thread pools of one server."""

    def __init__(self, database: Database) -> None:
        self.reads = ThreadPool("read", 3, database.release)
        # Writes of one process take turns anyway; the second only prepares while the first waits for the disk.
        self.writes = ThreadPool("write", 2, database.release)
        self.paths = ThreadPool("path", 4, database.release)
        self.folders = FolderReads(self.paths)
        self.windows = ThreadPool("window", 1, database.release)

    def all(self) -> tuple[ThreadPool, ...]:
        """Return all of them."""
        return self.reads, self.writes, self.paths, self.windows

    def close(self) -> None:
        """End all threads."""
        for pool in self.all():
            pool.close()

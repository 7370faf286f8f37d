"""One long-lived connection for each thread, and a way to close them all that hurts no thread.

Closing SQLite under a thread that is inside it would crash the process. A thread that hangs there, waiting for another
program's lock or for a disk that does not answer, keeps its connection until the process ends.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sqlalchemy.pool import PoolProxiedConnection

from exlab_wizard.errors import StoreError
from exlab_wizard.store.sqlite.driver import driver

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class ThreadConnection:
    """A connection, and the lock that is held for as long as a statement or a transaction takes.

    `left_open`: closing all leaves this one open.
    """

    proxy: PoolProxiedConnection
    connection: driver.Connection
    left_open: bool
    lock: threading.RLock = field(default_factory=threading.RLock)  # a query may run inside a transaction


class Connections:
    """The connections of one process to one file, each opened at its thread's first use. Thread-safe."""

    def __init__(self, opened: Callable[[], PoolProxiedConnection]) -> None:
        self._open = opened
        self._local = threading.local()
        self._held: set[ThreadConnection] = set()
        self._lock = threading.Lock()
        self._over = False

    def current(self) -> ThreadConnection:
        """Return this thread's connection, opened at its first use.

        Raises:
            StoreError: all were closed for good.
        """
        held: ThreadConnection | None = getattr(self._local, "held", None)
        if held is None:
            if self._over:
                msg = "the database is closed: the application is exiting"
                raise StoreError(msg)
            proxy = self._open()
            assert proxy.driver_connection is not None
            held = ThreadConnection(proxy, proxy.driver_connection, getattr(self._local, "left_open", False))
            self._local.own = self._local.held = held
            with self._lock:
                self._held.add(held)
        return held

    def leave_open(self) -> None:
        """Let `close` leave this thread's connection open; call it before the first use, where nothing waits for it."""
        self._local.left_open = True

    @contextlib.contextmanager
    def using(self, lent: ThreadConnection) -> Iterator[None]:
        """Let this thread work on another thread's connection; the caller makes them take turns."""
        held = getattr(self._local, "held", None)
        self._local.held = lent
        try:
            yield
        finally:
            self._local.held = held

    def release(self) -> None:
        """Close this thread's connection; a thread calls it before it ends."""
        own: ThreadConnection | None = getattr(self._local, "own", None)
        if own is None:
            return
        self._local.own = self._local.held = None
        with self._lock:
            if own not in self._held:
                return  # `close` closed it
            self._held.remove(own)
        own.proxy.close()

    def close(self, *, for_good: bool) -> None:
        """Close every connection that no thread is using; the last one to the file checkpoints it.

        `for_good`: no thread gets another, whose WAL beside the closed database would look like a crash.
        """
        self._over = self._over or for_good
        self._local = threading.local()
        with self._lock:
            ours = {held for held in self._held if not held.left_open}
            self._held -= ours
        for held in ours:
            if not held.lock.acquire(blocking=False):
                log.warning("a thread hangs in the database; its connection stays open until the process ends")
                continue
            try:
                held.proxy.close()
            finally:
                held.lock.release()

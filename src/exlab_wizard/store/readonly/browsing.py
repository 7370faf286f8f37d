"""Read-only connections for pages that browse the database, one for each thread, under the locks of `query`.

The caller sets the limits of time and rows; all can be interrupted at once, so that a quit waits for no query.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from exlab_wizard.domain.text.amounts import size
from exlab_wizard.errors import StoreError
from exlab_wizard.store.readonly.limits import longest_values, memory_used
from exlab_wizard.store.readonly.query import authorize
from exlab_wizard.store.sqlite.driver import driver
from exlab_wizard.store.sqlite.values import Value

_T = TypeVar("_T")
BUSY_SECONDS: Final = 1.0
_STEPS_BETWEEN_CHECKS: Final = 20_000  # a third of a millisecond
LONGEST_VALUE: Final = 256 << 10
MEMORY_BYTES: Final = 256 << 20
ANSWER_BYTES: Final = 4 << 20
_CELL_BYTES: Final = 32
"""What a cell costs beside its text: the page has markup for each."""
_LARGE: Final = frozenset({"zeroblob", "randomblob"})
# A name that is not valid Unicode appears with its bytes escaped, and can be encoded.
_decoded: Final = partial(str, encoding="utf-8", errors="backslashreplace")


class _BrowsingConnection(driver.Connection):
    """Keeps queries from holding up the other threads of this process."""

    _cursors: tuple[driver.Cursor, ...] = ()
    _left = ANSWER_BYTES

    def cursor(self, factory: type[driver.Cursor] = driver.Cursor) -> driver.Cursor:  # type: ignore[override]
        """Remember what it returns; `execute` calls it, too."""
        cursor = super().cursor(factory)
        self._cursors = (*self._cursors, cursor)
        return cursor

    def close_cursors(self) -> None:
        """Close all cursors. For the thread that made them, when it is done with their rows.

        A cursor that an error left behind goes when the interpreter collects its garbage, in any thread. That thread
        would wait for the query that runs on this connection by then, and all others for it.
        """
        for cursor in self._cursors:
            cursor.close()
        self._cursors = ()
        self._left = ANSWER_BYTES

    def set_progress_handler(self, progress_handler: Callable[[], int | None] | None, n: int) -> None:
        """Let it be called every `n` steps, and not too often: each call takes the interpreter's lock.

        A query that uses much memory is ended as if its time were over.
        """
        most = memory_used() + MEMORY_BYTES

        def is_over() -> bool:
            return memory_used() > most or (progress_handler is not None and bool(progress_handler()))

        super().set_progress_handler(is_over, max(n, _STEPS_BETWEEN_CHECKS))

    def counted(self, cursor: driver.Cursor, values: tuple[Value, ...]) -> driver.Row:
        """Return a row, unless the answer becomes too large with it.

        Raises:
            DataError: it does.
        """
        self._left -= sum(_CELL_BYTES + len(one) if isinstance(one, str | bytes) else _CELL_BYTES for one in values)
        if self._left < 0:
            msg = f"the answer is larger than {size(ANSWER_BYTES)}: ask for fewer rows or columns"
            raise driver.DataError(msg)
        return driver.Row(cursor, values)


class Readers:
    """The connections of some threads to one file. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._lock = threading.Lock()
        self._opened: list[driver.Connection] = []
        self._closed = False

    def run(self, read: Callable[[driver.Connection], _T]) -> _T:
        """Return what `read` returns over this thread's connection; its cursors are closed then.

        Raises:
            StoreError: the file cannot be opened, or this was closed.
        """
        connection = self._connection()
        try:
            return read(connection)
        finally:
            connection.close_cursors()

    def _connection(self) -> _BrowsingConnection:
        held: _BrowsingConnection | None = getattr(self._local, "connection", None)
        if held is None:
            held = self._local.connection = self._open()
        if self._closed:
            msg = "the application is quitting; browse the database after the next launch"
            raise StoreError(msg)
        return held

    def _open(self) -> _BrowsingConnection:
        try:
            uri = self._path.absolute().as_uri() + "?mode=ro"
            with longest_values(LONGEST_VALUE):
                connection = driver.connect(
                    uri,
                    uri=True,
                    timeout=BUSY_SECONDS,
                    isolation_level=None,
                    check_same_thread=False,
                    factory=_BrowsingConnection,
                )
            connection.execute("PRAGMA query_only = 1")
        except driver.Error as error:
            msg = f"the database {str(self._path)!r} cannot be opened for browsing: {error}. Run `exlab-wizard doctor`."
            raise StoreError(msg) from error
        connection.row_factory = connection.counted
        connection.text_factory = _decoded
        connection.set_authorizer(_authorize)
        with self._lock:
            self._opened.append(connection)
        return connection

    def release(self) -> None:
        """Close this thread's connection; a thread calls it before it ends."""
        held: driver.Connection | None = getattr(self._local, "connection", None)
        self._local.connection = None
        if held is not None:
            with self._lock:
                self._opened.remove(held)
            held.close()

    def close(self) -> None:
        """Refuse new queries and interrupt running ones; the threads then close their connections."""
        self._closed = True
        with self._lock:
            for connection in self._opened:
                connection.interrupt()


def _authorize(action: int, first: str | None, second: str | None, database: str | None, by: str | None) -> int:
    if action == driver.SQLITE_PRAGMA and first == "database_list" and second is None:
        return driver.SQLITE_OK
    if action == driver.SQLITE_FUNCTION and (second or "").lower() in _LARGE:
        return driver.SQLITE_DENY
    return authorize(action, first, second, database, by)

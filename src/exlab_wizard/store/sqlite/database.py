"""One SQLite file, opened the same way everywhere, with one long-lived connection per thread.

A write that returned has survived a power cut (`synchronous=EXTRA`). Threads of one process queue for the write lock
here, in order, instead of in SQLite's busy handler, which sleeps; other processes are waited for there.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from exlab_wizard.domain.text.amounts import elapsed
from exlab_wizard.errors import StoreError
from exlab_wizard.store.sqlite.connections import Connections
from exlab_wizard.store.sqlite.driver import driver, has_wal_reset_bug, is_busy, store_error
from exlab_wizard.store.sqlite.fair_lock import FairLock
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import Row, Value, View, view

log = logging.getLogger(__name__)

BUSY_TIMEOUT_SECONDS: Final = 10.0
PAGE_BYTES: Final = 2048
WAL_TARGET_BYTES: Final = 4 << 20
WAL_LIMIT_BYTES: Final = 16 << 20

# Views cast paths to text, and a name need not be valid Unicode.
decode_text: Final = partial(str, encoding="utf-8", errors="surrogateescape")


class Database:
    """The database file. Thread-safe: every thread works on a connection of its own, opened at its first statement.

    What cannot be opened, read or written raises StoreError, which says why; then nothing was written.
    `journal_mode` is `wal` unless the SQLite library has the WAL-reset bug; a state dir on a network file system
    needs `delete`. `busy_timeout_s` is how long a lock is waited for before that is an error.
    """

    def __init__(
        self, path: Path | str, *, journal_mode: str | None = None, busy_timeout_s: float = BUSY_TIMEOUT_SECONDS
    ) -> None:
        self.path = Path(path)
        self._busy_timeout_s = busy_timeout_s
        self.journal_mode = journal_mode or ("delete" if has_wal_reset_bug(driver.sqlite_version_info) else "wal")
        self.engine = sa.create_engine(
            "sqlite://", creator=self._connect, module=driver, poolclass=NullPool, isolation_level="AUTOCOMMIT"
        )
        self.connections = Connections(self.engine.raw_connection)
        self._writing = FairLock()
        self._file: tuple[int, int] | None = None
        self.refused_as_busy = 0
        """How often a lock was not available in time; its caller retries."""

    def _connect(self) -> driver.Connection:
        """Open one connection and read back that the settings hold."""
        # SQLite would create an empty file in place of one that was moved away, and this thread would keep using it.
        self.require_in_place()
        try:
            connection = driver.connect(
                self.path,
                timeout=self._busy_timeout_s,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
            connection.text_factory = decode_text
            try:
                self._set(connection)
            except (driver.Error, StoreError):
                connection.close()
                raise
        except driver.Error as error:
            raise self._explained("open", error) from error
        self._file = self._file or self._stamp()
        return connection

    def _set(self, connection: driver.Connection) -> None:
        # Only a new file takes the page size. Half the usual one makes a commit write half as much.
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        for pragma, wanted in (
            ("journal_mode", self.journal_mode),
            # EXTRA: after FULL, in rollback mode, a journal that reappears undoes a reported commit.
            ("synchronous", 3),
            ("foreign_keys", 1),
            ("recursive_triggers", 0),
            ("journal_size_limit", WAL_LIMIT_BYTES),
            ("wal_autocheckpoint", WAL_TARGET_BYTES // PAGE_BYTES),
        ):
            connection.execute(f"PRAGMA {pragma} = {wanted}")
            held = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
            if held != wanted:
                msg = (
                    f"the database {str(self.path)!r} cannot be opened with {pragma} = {wanted}; SQLite reports {held}"
                )
                raise StoreError(msg)

    def connection(self) -> driver.Connection:
        """Return this thread's connection, opened at its first use."""
        return self.connections.current().connection

    @contextlib.contextmanager
    def _lent(self, op: str) -> Iterator[driver.Connection]:
        """Lend this thread's connection; an error of the driver says what `op` failed and why."""
        try:
            current = self.connections.current()
            with current.lock:
                yield current.connection
        except driver.Error as error:
            raise self._explained(op, error) from error

    def require_in_place(self) -> None:
        """Raise StoreError unless the file is the one that was opened: no other program would see what is written."""
        if not self.in_place():
            msg = f"the database {str(self.path)!r} was deleted, moved or replaced while it was in use. Put it back."
            raise StoreError(msg)

    def in_place(self) -> bool:
        """Return whether the file is still the one that was opened."""
        return self._file is None or self._stamp() == self._file

    def _stamp(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path)  # noqa: PTH116 - called before each claim; Path.stat takes twice as long
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def release(self) -> None:
        """Close this thread's connection; a thread calls it before it ends."""
        self.connections.release()

    def read(self, statement: Statement, params: Mapping[str, Value] | None = None) -> list[Row]:
        """Run a query and return its rows."""
        with self._lent("read") as connection:
            return connection.execute(statement.sql, statement.bind(params or {})).fetchall()

    def views(self, kind: type[View], statement: Statement, params: Mapping[str, Value] | None = None) -> list[View]:
        """Run a query and return its rows as views, whose fields are its columns; see `view`."""
        return [view(kind, row) for row in self.named(statement, params)]

    def first(self, kind: type[View], statement: Statement, params: Mapping[str, Value] | None = None) -> View | None:
        """Run a query and return its first row as a view, or None; see `view`."""
        return next(iter(self.views(kind, statement, params)), None)

    def named(self, statement: Statement, params: Mapping[str, Value] | None = None) -> list[dict[str, Value]]:
        """Run a query and return its rows, each by the names of its columns, with paths as text."""
        with self._lent("read") as connection:
            cursor = connection.execute(statement.sql, statement.bind(params or {}))
            try:
                names = [column[0] for column in cursor.description]
                return [dict(zip(names, map(_path_as_text, row), strict=True)) for row in cursor]
            finally:  # not left to the collector: it may run in a thread that would wait for this one's next query
                cursor.close()

    def write(self, statement: Statement, params: Mapping[str, Value]) -> list[Row]:
        """Run one write as its own transaction and return what it returns; durable on return."""
        with self._turn(), self._lent("write") as connection:
            return connection.execute(statement.sql, statement.bind(params)).fetchall()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Lend a write transaction: durable when its `with` block is left, undone when the block raises."""
        with self._turn(), self._lent("write") as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield Transaction(connection)
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def change(self, statement: Statement, params: Mapping[str, Value]) -> int:
        """Run a statement as its own transaction and return how many rows it changed; durable on return."""
        with self.transaction() as transaction:
            return transaction.change(statement, params)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Hold the write lock of this process."""
        if not self._writing.acquire(self._busy_timeout_s):
            self.refused_as_busy += 1
            why = f"another write did not finish within {elapsed(self._busy_timeout_s)}"
            msg = f"the database {str(self.path)!r} is busy: {why}. Try again in a moment."
            raise StoreError(msg)
        try:
            yield
        finally:
            self._writing.release()

    def data_version(self) -> int:
        """Return a number that changes when another connection, of any process, has committed."""
        with self._lent("read") as connection:
            version: int = connection.execute("PRAGMA data_version").fetchone()[0]
        return version

    def grow_wal(self) -> None:
        """Grow the WAL file once, so that commits overwrite it; extending it costs a journal write for each fsync.

        A transaction that spills its pages into the WAL is rolled back: the file keeps its size, the database nothing.
        """
        if self.journal_mode != "wal":
            return
        with self._turn():
            connection = self.connection()
            pages = connection.execute("PRAGMA cache_size").fetchone()[0]
            try:
                connection.execute("PRAGMA cache_size = 16")
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("CREATE TABLE wal_ballast (filler BLOB)")
                connection.execute("INSERT INTO wal_ballast VALUES (zeroblob(?))", (WAL_TARGET_BYTES,))
                connection.execute("ROLLBACK")
            except driver.OperationalError as error:
                reason = self._explained("write", error)
                if "full" not in str(error):
                    raise reason from error
                log.warning("the WAL could not be grown in advance; commits may still succeed: %s", reason)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                connection.execute(f"PRAGMA cache_size = {int(pages)}")

    def checkpoint(self, mode: Literal["PASSIVE", "TRUNCATE"] = "TRUNCATE") -> bool:
        """Move the WAL into the database file; False when a reader keeps part of it back."""
        if self.journal_mode != "wal":
            return True
        with self._lent("checkpoint") as connection:
            return not connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()[0]

    def close(self, *, for_good: bool = False) -> None:
        """Close every connection that no thread is using and that is not left open; the last one checkpoints."""
        self.connections.close(for_good=for_good)
        self.engine.dispose()

    def _explained(self, op: str, error: driver.Error) -> StoreError:
        self.refused_as_busy += is_busy(error)
        return store_error(str(self.path), op, error)


@dataclass(frozen=True, slots=True)
class Transaction:
    """A write transaction that is open on the calling thread's connection."""

    connection: driver.Connection

    def run(self, statement: Statement, params: Mapping[str, Value] | None = None) -> list[Row]:
        """Run a statement and return its rows."""
        return self.connection.execute(statement.sql, statement.bind(params or {})).fetchall()

    def change(self, statement: Statement, params: Mapping[str, Value] | None = None) -> int:
        """Run a statement and return how many rows it changed."""
        return self.connection.execute(statement.sql, statement.bind(params or {})).rowcount

    def change_many(self, statement: Statement, params: Sequence[Mapping[str, Value]]) -> None:
        """Run a statement once for each of `params`."""
        self.connection.executemany(statement.sql, [statement.bind(row) for row in params])


class Queries:
    """The base of each part of the store. What cannot be read or written raises StoreError, which says why."""

    def __init__(self, database: Database) -> None:
        self._db = database


def _path_as_text(value: Value) -> Value:
    return os.fsdecode(value) if isinstance(value, bytes) else value

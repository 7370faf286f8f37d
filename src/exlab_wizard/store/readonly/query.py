"""Read-only SQL on the live database, behind four locks: `mode=ro`, `query_only`, an authorizer, and limits.

Time, rows, bytes and memory are limited. It never blocks a writer, and holds no snapshot longer than its time limit.
While a query reads, the WAL cannot be reset: a query waits when the WAL is already over its bound, and is stopped when
the WAL grows to twice that.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from exlab_wizard.domain.text.amounts import elapsed, size
from exlab_wizard.errors import RefusedError, StoreError, UsageError
from exlab_wizard.store.readonly.limits import longest_values
from exlab_wizard.store.sqlite.database import BUSY_TIMEOUT_SECONDS, WAL_LIMIT_BYTES, decode_text
from exlab_wizard.store.sqlite.driver import driver
from exlab_wizard.store.sqlite.values import Row, Value

DEFAULT_SECONDS: Final = 10.0
DEFAULT_ROWS: Final = 1_000
LONG_SECONDS: Final = 0.25
LONGEST_VALUE: Final = 16 << 20
MEMORY_BYTES: Final = 512 << 20
ANSWER_BYTES: Final = 64 << 20
_ROW_BYTES: Final = 1 << 10
"""A higher limit of rows raises that of bytes, by so much for each row."""
WAL_ENDS_QUERY_BYTES: Final = 2 * WAL_LIMIT_BYTES
# In rollback-journal mode a writer waits for readers, for up to its busy timeout.
_ROLLBACK_SECONDS: Final = BUSY_TIMEOUT_SECONDS / 2
_MODE: Final = "?mode=ro"
_QUERY_ONLY: Final = "PRAGMA query_only = 1"
_HEAP: Final = f"PRAGMA hard_heap_limit = {MEMORY_BYTES}"
_STEPS_BETWEEN_CHECKS: Final = 2_000
_POLL_INTERVAL_SECONDS: Final = 0.05

_TELLING_PRAGMAS: Final = frozenset(
    {"application_id", "compile_options", "data_version", "encoding", "freelist_count", "journal_mode", "page_count",
     "page_size", "schema_version", "table_list", "user_version"}
)  # fmt: skip
_NAMING_PRAGMAS: Final = frozenset(
    {"foreign_key_check", "foreign_key_list", "index_info", "index_list", "index_xinfo", "integrity_check",
     "quick_check", "table_info", "table_list", "table_xinfo"}
)  # fmt: skip
"""Those whose argument names an object; for the others an argument is a new value."""

_ACTING_FUNCTIONS: Final = frozenset({"edit", "fts3_tokenizer", "load_extension", "readfile", "writefile"})


@dataclass(frozen=True, slots=True)
class Table:
    """The answer to a query; `truncated` when the row limit cut it."""

    columns: tuple[str, ...]
    rows: list[Row]
    truncated: bool


def query(  # noqa: PLR0913 - the query, and one name for each limit
    path: Path,
    sql: str,
    params: Mapping[str, Value] | None = None,
    *,
    seconds: float = DEFAULT_SECONDS,
    rows: int = DEFAULT_ROWS,
    when_long: Callable[[], None] = lambda: None,
) -> Table:
    """Answer one SQL query within `seconds`, with at most `rows` rows; both are limits, and neither is waited for.

    The limit of memory is one of the whole process, for good: only for processes that do nothing else with SQLite.
    `when_long` is called once, in this thread, when the query has run for a quarter of a second.

    Raises:
        RefusedError: the statement would change something, attach a file or load code.
        UsageError: it is not valid SQL, or names something that does not exist.
        StoreError: it ran into the time limit or let the WAL grow, or the database cannot be read.
    """
    if not path.exists():
        msg = f"there is no database at {str(path)!r} yet; `exlab-wizard run` or `exlab-wizard sync` creates it"
        raise StoreError(msg)
    limits = _Limits(path, seconds, when_long)
    limits.wait_for_room()
    with longest_values(LONGEST_VALUE):
        connection = driver.connect(
            path.absolute().as_uri() + _MODE, uri=True, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None
        )
    try:
        connection.text_factory = decode_text
        connection.execute(_QUERY_ONLY)
        connection.execute(_HEAP)
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            limits.end_within(_ROLLBACK_SECONDS)
        connection.set_authorizer(authorize)
        connection.set_progress_handler(limits.are_over, _STEPS_BETWEEN_CHECKS)
        cursor = connection.execute(sql, params or {})
        found = limits.rows_of(cursor, rows)
        columns = tuple(column[0] for column in cursor.description or ())
        return Table(columns, found[:rows], truncated=len(found) > rows)
    except MemoryError as error:
        msg = f"the query was stopped because it needs more than {size(MEMORY_BYTES)} of memory; narrow it"
        raise StoreError(msg) from error
    except (driver.Error, driver.Warning) as error:
        raise _explained(error, limits) from error
    finally:
        connection.close()


class _Limits:
    """When a query is over, whatever it has found."""

    def __init__(self, path: Path, seconds: float, when_long: Callable[[], None]) -> None:
        self._when_long = when_long
        self._long_at = time.monotonic() + LONG_SECONDS
        self._wal = path.with_name(path.name + "-wal")
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._next_check = 0.0
        self.ended_by = ""

    def end_within(self, seconds: float) -> None:
        """Shorten the time."""
        self._deadline = min(self._deadline, time.monotonic() + seconds)
        self._seconds = min(self._seconds, seconds)

    def wait_for_room(self) -> None:
        """Let other queries end first if the WAL is so long that it must be reset; for half the time at most.

        The wait is added to the time for the query.
        """
        begun, pause = time.monotonic(), threading.Event()
        while self._wal_bytes() > WAL_LIMIT_BYTES and time.monotonic() - begun < self._seconds / 2:
            pause.wait(_POLL_INTERVAL_SECONDS)
        self._deadline += time.monotonic() - begun

    def rows_of(self, cursor: driver.Cursor, most: int) -> list[Row]:
        """Return the rows, one more than `most` if there are so many; an error ends those that are too large."""
        found: list[Row] = []
        left = largest = max(ANSWER_BYTES, most * _ROW_BYTES)
        for row in islice(cursor, most + 1):
            left -= sum(len(value) for value in row if isinstance(value, str | bytes))
            if left < 0:
                self.ended_by = f"because its answer is larger than {size(largest)}; narrow it"
                raise driver.DataError
            found.append(row)
        return found

    def are_over(self) -> int:
        """Return 1 to end the query, and keep why."""
        now = time.monotonic()
        if now > self._deadline:
            self.ended_by = f"at its time limit of {elapsed(self._seconds)}; narrow it or raise --timeout"
        elif now > self._next_check:
            if now > self._long_at:
                self._long_at = math.inf
                self._when_long()
            self._next_check = now + _POLL_INTERVAL_SECONDS
            if self._wal_bytes() > WAL_ENDS_QUERY_BYTES:
                self.ended_by = (
                    "because it kept the database's write-ahead log from being reset; narrow it or try later"
                )
        return int(bool(self.ended_by))

    def _wal_bytes(self) -> int:
        try:
            return self._wal.stat().st_size
        except OSError:
            return 0


def authorize(action: int, first: str | None, second: str | None, _database: str | None, _by: str | None) -> int:
    """Return whether SQLite may do what a statement wants: it may read, and nothing else."""
    if action in (driver.SQLITE_SELECT, driver.SQLITE_READ, driver.SQLITE_RECURSIVE):
        return driver.SQLITE_OK
    if action == driver.SQLITE_FUNCTION and (second or "").lower() not in _ACTING_FUNCTIONS:
        return driver.SQLITE_OK
    if action == driver.SQLITE_PRAGMA:
        allowed = _NAMING_PRAGMAS if second is not None else _TELLING_PRAGMAS | _NAMING_PRAGMAS
        if (first or "").lower() in allowed:
            return driver.SQLITE_OK
    return driver.SQLITE_DENY


def _explained(error: Exception, limits: _Limits) -> RefusedError | UsageError | StoreError:
    text = str(error)
    if limits.ended_by:
        return StoreError(f"the query was stopped {limits.ended_by}")
    if any(word in text for word in ("not authorized", "authorization denied", "prohibited", "readonly", "read-only")):
        return RefusedError(f"only reading is allowed here: {text}. Use the sqlite3 shell to change data.")
    if "locked" in text or "unable to open" in text or "disk I/O" in text or "malformed" in text:
        return StoreError(f"the database cannot be read: {text}. Run `exlab-wizard doctor`.")
    return UsageError(f"SQL: {text}")

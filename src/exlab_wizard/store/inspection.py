"""Read-only SQL on the live database, behind four locks: `mode=ro`, `query_only`, an authorizer, time and row limits.

It never blocks a writer, and holds no snapshot longer than its time limit.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exlab_wizard.errors import RefusedError, StoreError, UsageError
from exlab_wizard.store.database import BUSY_TIMEOUT_SECONDS, decode_text
from exlab_wizard.store.driver import driver
from exlab_wizard.store.values import Row, Value

DEFAULT_SECONDS: Final = 10.0
DEFAULT_ROWS: Final = 1_000
_STEPS_BETWEEN_LOOKS: Final = 2_000
_READING_PRAGMAS: Final = frozenset(
    {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list",
     "user_version", "schema_version", "page_count", "page_size", "freelist_count", "data_version", "compile_options"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """The answer to a query; `truncated` when the row limit cut it."""

    columns: tuple[str, ...]
    rows: list[Row]
    truncated: bool


def query(
    path: Path,
    sql: str,
    params: Mapping[str, Value] | None = None,
    *,
    seconds: float = DEFAULT_SECONDS,
    rows: int = DEFAULT_ROWS,
) -> Table:
    """Answer one SQL query.

    Raises:
        RefusedError: the statement would change something, attach a file or load code.
        UsageError: it is not valid SQL, or names something that does not exist.
        StoreError: it ran into the time limit, or the database cannot be read.
    """
    if not path.exists():
        msg = f"there is no database at {str(path)!r} yet; `exlab-wizard run` or `exlab-wizard sync` creates it"
        raise StoreError(msg)
    connection = driver.connect(
        path.absolute().as_uri() + "?mode=ro", uri=True, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None
    )
    try:
        connection.text_factory = decode_text
        connection.execute("PRAGMA query_only = 1")
        connection.set_authorizer(_authorize)
        deadline = time.monotonic() + seconds
        connection.set_progress_handler(lambda: int(time.monotonic() > deadline), _STEPS_BETWEEN_LOOKS)
        cursor = connection.execute(sql, params or {})
        found = cursor.fetchmany(rows + 1)
        columns = tuple(column[0] for column in cursor.description or ())
        return Table(columns, found[:rows], truncated=len(found) > rows)
    except (driver.Error, driver.Warning) as error:
        raise _explained(error, seconds) from error
    finally:
        connection.close()


def _authorize(action: int, first: str | None, second: str | None, _database: str | None, _by: str | None) -> int:
    if action in (driver.SQLITE_SELECT, driver.SQLITE_READ, driver.SQLITE_RECURSIVE):
        return driver.SQLITE_OK
    if action == driver.SQLITE_FUNCTION and second != "load_extension":
        return driver.SQLITE_OK
    if action == driver.SQLITE_PRAGMA and first in _READING_PRAGMAS:
        return driver.SQLITE_OK
    return driver.SQLITE_DENY


def _explained(error: Exception, seconds: float) -> RefusedError | UsageError | StoreError:
    text = str(error)
    if any(word in text for word in ("not authorized", "authorization denied", "prohibited", "readonly", "read-only")):
        return RefusedError(f"only reading is allowed here: {text}. Changes are made with the sqlite3 shell.")
    if "interrupted" in text:
        return StoreError(f"the query was ended at its time limit of {seconds:g} s; narrow it or raise --timeout")
    if "locked" in text or "unable to open" in text or "disk I/O" in text or "malformed" in text:
        return StoreError(f"the database cannot be read: {text}")
    return UsageError(f"SQL: {text}")

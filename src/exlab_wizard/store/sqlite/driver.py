"""The SQLite module in use: `pysqlite3` with its bundled, current library, else the standard one.

SQLite 3.7.0 to 3.51.2 can corrupt a WAL database (https://sqlite.org/wal.html#walresetbug) and distributions still
ship those; `has_wal_reset_bug` decides whether the rollback journal is used instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3 as driver
else:
    try:
        from pysqlite3 import dbapi2 as driver
    except ImportError:
        import sqlite3 as driver

__all__ = ["FIXED_VERSION", "OLDEST_VERSION", "driver", "has_wal_reset_bug", "open_read_only"]

FIXED_VERSION: Final = (3, 51, 3)
OLDEST_VERSION: Final = (3, 37, 0)


def has_wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Return whether a library of `version` (major, minor, patch) may corrupt a WAL database."""
    return (3, 7, 0) <= version < FIXED_VERSION


def open_read_only(path: Path, timeout: float = 5.0) -> driver.Connection:
    """Open the file at `path`, which must exist, so that nothing can be written through the connection."""
    return driver.connect(path.absolute().as_uri() + "?mode=ro", uri=True, timeout=timeout)

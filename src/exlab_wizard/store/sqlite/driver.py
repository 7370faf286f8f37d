"""The SQLite module in use: `pysqlite3` with its bundled, current library, else the standard one.

Its errors become sentences: what failed, where, and what to do. SQLite 3.7.0 to 3.51.2 can corrupt a WAL database
(https://sqlite.org/wal.html#walresetbug) and distributions still ship those; `has_wal_reset_bug` decides whether the
rollback journal is used instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from exlab_wizard.errors import DamagedError, RuleError, StoreError

if TYPE_CHECKING:
    import sqlite3 as driver
else:
    try:
        from pysqlite3 import dbapi2 as driver
    except ImportError:
        import sqlite3 as driver

__all__ = ["FIXED_VERSION", "OLDEST_VERSION", "driver", "has_wal_reset_bug", "is_busy", "open_read_only", "store_error"]

FIXED_VERSION: Final = (3, 51, 3)
OLDEST_VERSION: Final = (3, 37, 0)


def has_wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Return whether a library of `version` (major, minor, patch) may corrupt a WAL database."""
    return (3, 7, 0) <= version < FIXED_VERSION


def open_read_only(path: Path, timeout: float = 5.0) -> driver.Connection:
    """Open the file at `path`, which must exist, so that nothing can be written through the connection."""
    return driver.connect(path.absolute().as_uri() + "?mode=ro", uri=True, timeout=timeout)


def is_busy(error: driver.Error) -> bool:
    """Return whether a lock was not available in time."""
    text = str(error)
    return "locked" in text or "busy" in text


def store_error(path: str, op: str, error: driver.Error) -> StoreError:
    """Return the error for `op` on the database at `path`; its class says whether a retry may help."""
    text = str(error)
    if isinstance(error, driver.IntegrityError):
        return RuleError(f"the database {path!r} refuses the change: {text}")
    if type(error) is driver.DatabaseError:  # its subclasses mean other things than damage
        remedy = "Quit exlab-wizard, then run: exlab-wizard db backup --list, exlab-wizard db restore FILE"
        return DamagedError(f"the database {path!r} is damaged: {text}. {remedy}")
    hint = "Run `exlab-wizard db check`."
    if is_busy(error):
        hint = "Another program has a transaction open; close that program."
    elif "unable to open" in text or "readonly" in text:
        hint = "Check that the state dir exists and that your account can write to it."
    elif "I/O" in text:
        hint = "Check the disk of the state dir: it may be failing, or full."
    elif "full" in text:
        hint = "Free space on the disk of the state dir."
    return StoreError(f"cannot {op} the database {path!r}: {text}. {hint}".rstrip())

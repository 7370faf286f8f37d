"""A database file that may be damaged, read with the driver alone.

Nothing is written, migrated or repaired, and every query has a time limit.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from exlab_wizard.domain.clock import to_text
from exlab_wizard.domain.text.amounts import elapsed
from exlab_wizard.errors import DamagedError, StoreError
from exlab_wizard.store.sqlite.database import decode_text
from exlab_wizard.store.sqlite.driver import driver, open_read_only
from exlab_wizard.store.sqlite.values import Row, Value, path_from_sql, text, whole

SECONDS: Final = 5.0
_STEPS_BETWEEN_CHECKS: Final = 2_000
_RECENT_JOBS: Final = 200
_FOLDERS: Final = 20


@dataclass(frozen=True, slots=True)
class Exit:
    """One launch and how it ended: `end_reason` is None while it has not; `healthy` if it became healthy."""

    started_at: str
    ended_at: str | None
    end_reason: str | None
    healthy: bool


@dataclass(frozen=True, slots=True)
class Stale:
    """Unfinished jobs for one destination that are older than they should be, and when the first was queued."""

    destination: str
    jobs: int
    oldest: str


class RawDatabase:
    """One read-only connection."""

    def __init__(self, connection: driver.Connection) -> None:
        self._connection = connection

    def journal_mode(self) -> str:
        """Return `wal` or `delete`, as the file says."""
        return str(self._rows("PRAGMA journal_mode")[0][0])

    def revision(self) -> str | None:
        """Return the schema's revision; None where the file names none."""
        if not self._rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"):
            return None
        rows = self._rows("SELECT version_num FROM alembic_version")
        return str(rows[0][0]) if rows else None

    def structure(self) -> str:
        """Return `ok`, or the first thing that is wrong; reads the whole file, and is empty when time runs out."""
        try:
            return str(self._rows("PRAGMA quick_check(1)")[0][0])
        except driver.OperationalError as error:
            if "interrupt" in str(error):
                return ""
            raise

    def exits(self, limit: int) -> list[Exit]:
        """Return the newest launches, the last one first."""
        rows = self._rows(
            "SELECT started_at, ended_at, end_reason, healthy_at IS NOT NULL FROM launches ORDER BY id DESC LIMIT ?",
            limit,
        )
        return [Exit(str(begun), text(ended), text(reason), bool(well)) for begun, ended, reason, well in rows]

    def holder(self) -> int | None:
        """Return the process id of the launch that has not ended; None where all have."""
        rows = self._rows("SELECT pid FROM launches WHERE ended_at IS NULL ORDER BY id DESC LIMIT 1")
        return whole(rows[0][0]) if rows else None

    def stale(self, before: datetime) -> list[Stale]:
        """Return unfinished jobs that were queued before `before`, by destination."""
        rows = self._rows(
            "SELECT destination, count(*), min(enqueued_at) FROM sync_jobs"
            " WHERE finished_at IS NULL AND enqueued_at < ? GROUP BY destination",
            to_text(before),
        )
        return [Stale(str(destination), whole(jobs), str(oldest)) for destination, jobs, oldest in rows]

    def failed(self) -> int:
        """Return how many jobs wait for an operator."""
        return whole(self._rows("SELECT count(*) FROM sync_jobs WHERE state = 'failed'")[0][0])

    def run_paths(self, destination: str) -> list[str]:
        """Return some of the runs that were queued last for `destination`."""
        rows = self._rows(
            "SELECT run_path FROM (SELECT run_path, destination FROM sync_jobs ORDER BY id DESC LIMIT ?)"
            " WHERE destination = ? LIMIT ?",
            _RECENT_JOBS,
            destination,
            _FOLDERS,
        )
        return [path_from_sql(path) for (path,) in rows if isinstance(path, str | bytes)]

    def _rows(self, sql: str, *values: Value) -> list[Row]:
        return self._connection.execute(sql, values).fetchall()


@contextlib.contextmanager
def open_raw(path: Path, seconds: float = SECONDS) -> Iterator[RawDatabase]:
    """Lend a connection to the file at `path`, for `seconds` at most.

    Raises:
        DamagedError: the file is not a database, or is damaged.
        StoreError: it cannot be read, or not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    try:
        with contextlib.closing(open_read_only(path, seconds)) as connection:
            connection.text_factory = decode_text
            connection.set_progress_handler(lambda: int(time.monotonic() > deadline), _STEPS_BETWEEN_CHECKS)
            yield RawDatabase(connection)
    except driver.OperationalError as error:
        if "interrupted" in str(error):
            msg = f"it could not be read within {elapsed(seconds)}"
            raise StoreError(msg) from error
        msg = f"it cannot be read: {error}"
        raise StoreError(msg) from error
    except driver.DatabaseError as error:
        raise DamagedError(str(error)) from error

"""Deletes history: finished jobs with their files and events, and closed sessions, all before a given moment.

Nothing unfinished or failed, and no launch or quit: those are receipts. It works in small transactions with pauses
between them, so that other writers hardly wait; killed at any instant, the next call continues.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from exlab_wizard.domain.clock import to_text
from exlab_wizard.errors import StoreError
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.sqlite.driver import driver
from exlab_wizard.store.sqlite.values import Row, Value, whole

ROWS_AT_ONCE: Final = 500
SESSIONS_AT_ONCE: Final = 200
_LEAST_PAUSE_SECONDS: Final = 0.03
_PAUSE_FOR_EACH_SECOND: Final = 2.0
"""SQLite lets a waiting process retry only now and then: it must find the lock free when it does."""

_DONE_WITH: Final = "state IN ('verified', 'cleaned', 'cancelled') AND finished_at < :before"
# Followers of the database remember the number of the newest event and session: it must not be reused.
JOBS: Final = (
    f"SELECT id FROM sync_jobs WHERE {_DONE_WITH} AND id < (SELECT max(id) FROM sync_jobs)"
    " AND id IS NOT (SELECT job_id FROM job_events ORDER BY id DESC LIMIT 1) ORDER BY id"
)
SESSIONS: Final = (
    "SELECT rowid, id FROM session_leases WHERE state <> 'active' AND closed_at < :before"
    " AND rowid < (SELECT max(rowid) FROM session_leases) ORDER BY rowid"
)
NAMED_SESSIONS: Final = "SELECT id, session_id FROM sync_jobs WHERE session_id IS NOT NULL"
COUNT_FILES: Final = "SELECT count(*) FROM sync_files WHERE job_id = :job"
COUNT_EVENTS: Final = "SELECT count(*) FROM job_events WHERE job_id = :job"
DELETE_FILES: Final = (
    "DELETE FROM sync_files WHERE job_id = :job"
    " AND path IN (SELECT path FROM sync_files WHERE job_id = :job LIMIT :most)"
)
# Marks a job whose deletion began: its rows are no longer counted.
BEGIN_DELETION: Final = f"UPDATE sync_jobs SET files_total = 0, files_done = 0 WHERE id = :job AND {_DONE_WITH}"
DELETE_JOB: Final = f"DELETE FROM sync_jobs WHERE id = :job AND {_DONE_WITH}"
DELETE_SESSION: Final = "DELETE FROM session_leases WHERE rowid = :number AND state <> 'active'"


@dataclass(frozen=True, slots=True)
class PruneResult:
    """How many rows were deleted, or would be; `free_bytes` are unused in the file, and will be reused."""

    jobs: int
    files: int
    events: int
    sessions: int
    free_bytes: int


class Prune:
    """One pruning of everything that was over before a moment; making it selects what to delete, and deletes nothing.

    Raises StoreError where the database cannot be read or written; what was deleted until then stays deleted.
    """

    def __init__(self, database: Database, before: datetime) -> None:
        self._db = database
        self._before = to_text(before)
        self._jobs = [whole(job) for (job,) in self._read(JOBS, {"before": self._before})]
        going = set(self._jobs)
        named = {session for job, session in self._read(NAMED_SESSIONS, {}) if job not in going}
        closed = self._read(SESSIONS, {"before": self._before})
        self._sessions = [whole(number) for number, session in closed if session not in named]

    def preview(self) -> PruneResult:
        """Return what `run` would delete."""
        files = sum(self._count(COUNT_FILES, job) for job in self._jobs)
        events = sum(self._count(COUNT_EVENTS, job) for job in self._jobs)
        return PruneResult(len(self._jobs), files, events, len(self._sessions), self._free_bytes())

    def run(self, progress: Callable[[int, int], None]) -> PruneResult:
        """Delete it all; `progress` is called with the number of deleted jobs and of all that are to be deleted."""
        wanted = self.preview()
        with self._without_foreign_keys():
            for batch in self._batches():
                self._at_once(DELETE_JOB, [{"job": job, "before": self._before} for job in batch])
                progress(self._jobs.index(batch[-1]) + 1, len(self._jobs))
            for first in range(0, len(self._sessions), SESSIONS_AT_ONCE):
                numbers = self._sessions[first : first + SESSIONS_AT_ONCE]
                self._at_once(DELETE_SESSION, [{"number": number} for number in numbers])
        return replace(wanted, free_bytes=self._free_bytes())

    def shrink(self, gone: PruneResult) -> PruneResult:
        """Return free space to the file system, and `gone` with what is free now.

        No other program can write meanwhile.

        Raises:
            StoreError: the database is in use, or there is no space for the copy that this makes.
        """
        try:
            self._db.connection().execute("VACUUM")
        except driver.Error as error:
            msg = f"the database {str(self._db.path)!r} cannot be shrunk: {error}. The pruned history stays deleted."
            raise StoreError(msg) from error
        self._db.checkpoint()
        return replace(gone, free_bytes=self._free_bytes())

    def _batches(self) -> Iterator[list[int]]:
        """Yield batches of jobs that one transaction deletes quickly; long manifests are shortened before."""
        batch: list[int] = []
        weight = 0
        for job in self._jobs:
            files = self._count(COUNT_FILES, job)
            if files > ROWS_AT_ONCE:
                self._at_once(BEGIN_DELETION, [{"job": job, "before": self._before}])
            while files > ROWS_AT_ONCE:
                self._at_once(DELETE_FILES, [{"job": job, "most": ROWS_AT_ONCE}])
                files -= ROWS_AT_ONCE
            weight += files + self._count(COUNT_EVENTS, job)
            batch.append(job)
            if weight > ROWS_AT_ONCE:
                yield batch
                batch, weight = [], 0
        if batch:
            yield batch

    def _at_once(self, sql: str, params: Sequence[Mapping[str, Value]]) -> None:
        """Delete in one transaction, then leave other writers time."""
        begun = time.monotonic()
        with self._db.transaction():
            self._db.connection().executemany(sql, params)
        _pause(max(_LEAST_PAUSE_SECONDS, _PAUSE_FOR_EACH_SECOND * (time.monotonic() - begun)))

    @contextlib.contextmanager
    def _without_foreign_keys(self) -> Iterator[None]:
        """Skip the foreign key check, for which SQLite would scan all jobs once for each session."""
        connection = self._db.connection()
        connection.execute("PRAGMA foreign_keys = 0")
        try:
            yield
        finally:
            connection.execute("PRAGMA foreign_keys = 1")

    def _count(self, sql: str, job: int) -> int:
        return whole(self._read(sql, {"job": job})[0][0])

    def _free_bytes(self) -> int:
        (free,), (size,) = (self._read(f"PRAGMA {name}", {})[0] for name in ("freelist_count", "page_size"))
        return whole(free) * whole(size)

    def _read(self, sql: str, params: Mapping[str, Value]) -> list[Row]:
        try:
            return self._db.connection().execute(sql, params).fetchall()
        except driver.Error as error:
            msg = f"the database {str(self._db.path)!r} cannot be read: {error}. Run `exlab-wizard db check`."
            raise StoreError(msg) from error


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)

"""The history of all jobs: searched, the newest first, in stretches that each end soon; and the runs it published.

No index serves a search in free text, and none is worth its writes: a search reads the table backwards, a stretch of
ids at a time, until the page is full or its time is over. It then says how far it came, so that it can be continued.
No statement holds a snapshot for longer than one stretch takes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from exlab_wizard.domain.clock import to_text
from exlab_wizard.domain.job import JobState
from exlab_wizard.store.reports.rows import MAX_ID, Record, records
from exlab_wizard.store.sqlite.database import Queries
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import Row, Value, path_from_sql, path_to_sql, text, whole
from exlab_wizard.store.tables import sync_jobs

_job = sync_jobs.c
_b = sa.bindparam

SEARCH_SECONDS: Final = 0.25
FIRST_STRETCH: Final = 4_000
LONGEST_STRETCH: Final = 64_000
_RECENT: Final = 2_000
_MOST_OF_RUNS: Final = 1_000
_CLOCK_ERROR: Final = timedelta(days=1)
"""Ids follow the time of queueing as far as the clock was right: a search by date starts and ends this much wider."""

_COLUMNS: Final = (
    "j.id, j.run_path, j.destination, j.equipment_id, j.state, j.state_reason, j.waiting_on, j.not_before,"
    " j.error_kind, j.error_detail, j.enqueued_at, j.finished_at, j.verified_at, j.files_total, j.bytes_total,"
    " j.bytes_done, j.bytes_verified, s.label"
)
_OPTIONAL: Final = (
    " AND (:equipment IS NULL OR j.equipment_id = :equipment)"
    " AND (:destination IS NULL OR j.destination = :destination)"
    " AND (:since IS NULL OR j.enqueued_at >= :since) AND (:until IS NULL OR j.enqueued_at < :until)"
    " AND (:pattern IS NULL OR CAST(j.run_path AS TEXT) LIKE :pattern ESCAPE '!' OR s.label LIKE :pattern ESCAPE '!')"
    " ORDER BY j.id DESC LIMIT :limit"
)


def _search(source: str, in_state: str) -> Statement:
    return Statement(
        sa.text(
            f"SELECT {_COLUMNS} FROM {source} LEFT JOIN session_leases s ON s.id = j.session_id"
            f" WHERE j.id < :before AND j.id >= :floor AND {in_state}{_OPTIONAL}"
        )
    )


SEARCH: Final = _search("sync_jobs j NOT INDEXED", "(:state IS NULL OR j.state = :state)")
# What is unsettled has an index, whose entries of one state lie in the order of their ids.
SEARCH_UNSETTLED: Final = {
    state: _search("sync_jobs j INDEXED BY jobs_unsettled", f"j.state = '{state}'")
    for state in (JobState.RUNNING, JobState.VERIFYING, JobState.RESUMABLE, JobState.FAILED)
}
OF_RUN: Final = Statement(
    sa.text(
        "SELECT id, destination, state, enqueued_at, verified_at, bytes_total FROM sync_jobs NOT INDEXED"
        " WHERE id < :before AND id >= :floor AND run_path = :run_path ORDER BY id DESC LIMIT :limit"
    )
)
PENDING_OF_RUN: Final = Statement(
    sa.text(
        "SELECT id, destination, state, enqueued_at, verified_at, bytes_total"
        " FROM sync_jobs INDEXED BY jobs_one_unfinished WHERE run_path = :run_path AND finished_at IS NULL"
        " ORDER BY id DESC"
    )
)
OF_RUNS: Final = Statement(
    sa.text(
        "SELECT id, run_path, destination, state FROM sync_jobs NOT INDEXED WHERE id < :before AND id >= :floor"
        " AND run_path IN (SELECT value FROM json_each(:paths)) ORDER BY id DESC LIMIT :limit"
    )
)
NEXT_BELOW: Final = Statement(sa.text("SELECT max(id) FROM sync_jobs WHERE id < :id"))
QUEUED_AT: Final = Statement(sa.text("SELECT id, enqueued_at FROM sync_jobs WHERE id >= :id ORDER BY id LIMIT 1"))
RECENT_NAMES: Final = Statement(
    sa.text(
        "SELECT DISTINCT destination, equipment_id FROM (SELECT destination, equipment_id FROM sync_jobs"
        f" ORDER BY id DESC LIMIT {_RECENT})"
    )
)
_PUBLISHED: Final = "run_path, destination, equipment_id, bytes_total, files_total"
# The bare columns are those of the row that has the greatest id.
PUBLISHED: Final = Statement(
    sa.text(
        f"SELECT max(id), {_PUBLISHED} FROM sync_jobs WHERE state IN ('verified', 'cleaned')"
        " GROUP BY run_path, destination, equipment_id ORDER BY max(id)"
    )
)
BY_JOB: Final = Statement(sa.text(f"SELECT id, {_PUBLISHED} FROM sync_jobs WHERE id = :job"))
STATES_OF_RUN: Final = Statement(
    sa.select(_job.id, _job.state)
    .where(_job.run_path == _b("run_path"), _job.destination == _b("destination"))
    .order_by(_job.id)
)
EQUIPMENT: Final = Statement(
    sa.select(_job.equipment_id).where(_job.destination == _b("destination"), _job.equipment_id.is_not(None)).distinct()
)


@dataclass(frozen=True, slots=True)
class Search:
    """What to search for: all that is given must match; `text` is part of the run's path or of its session's label.

    `since` is included, `until` is not; both are about when the job was queued.
    """

    text: str = ""
    state: JobState | None = None
    equipment: str | None = None
    destination: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A page of jobs; `following` is the `before` of the next one, None where nothing older can match.

    `cut`: the time was over before the page was full, and jobs below `following` were not searched.
    """

    jobs: list[Record]
    following: int | None
    cut: bool


@dataclass(frozen=True, slots=True)
class Publication:
    """A run at a destination, and the job that brought it there."""

    job_id: int
    run_path: str
    destination: str
    equipment_id: str | None
    size: int
    files: int


class HistoryReport(Queries):
    """Reads about finished jobs, too; a search takes at most `SEARCH_SECONDS` longer than what it returns."""

    def search(
        self, search: Search, *, limit: int, before: int | None = None, seconds: float = SEARCH_SECONDS
    ) -> Found:
        """Return the newest jobs below id `before` that match."""
        lowest = 0 if search.since is None else self._first_queued(search.since - _CLOCK_ERROR)
        start = MAX_ID if search.until is None else self._first_queued(search.until + _CLOCK_ERROR)
        state = None if search.state is None else search.state.value
        params: dict[str, Value] = {
            "state": state,
            "equipment": search.equipment,
            "destination": search.destination,
            "since": None if search.since is None else to_text(search.since),
            "until": None if search.until is None else to_text(search.until),
            "pattern": _pattern(search.text),
        }
        statement = SEARCH if search.state is None else SEARCH_UNSETTLED.get(search.state, SEARCH)

        def read(bounds: dict[str, Value]) -> list[Record]:
            return records(self._db, statement, {**params, **bounds})

        return self._backwards(read, min(start, MAX_ID if before is None else before), lowest, limit, seconds)

    def of_run(self, run_path: str, *, seconds: float = SEARCH_SECONDS) -> Found:
        """Return the jobs of a run: all that are pending, and of the finished ones those that were found in time."""
        path = path_to_sql(run_path)
        pending = records(self._db, PENDING_OF_RUN, {"run_path": path})
        known = {job["id"] for job in pending}

        def read(bounds: dict[str, Value]) -> list[Record]:
            found = records(self._db, OF_RUN, {"run_path": path, **bounds})
            return [job for job in found if job["id"] not in known]

        finished = self._backwards(read, MAX_ID, 0, 20, seconds)
        return Found([*pending, *finished.jobs], finished.following, finished.cut)

    def of_runs(self, run_paths: Sequence[str], *, seconds: float = SEARCH_SECONDS) -> dict[str, list[Record]]:
        """Return, by run, those jobs of the given runs that were found in time, the newest first.

        Paths that are not valid Unicode are not searched for.
        """
        paths = json.dumps([path for path in run_paths if isinstance(path_to_sql(path), str)])

        def read(bounds: dict[str, Value]) -> list[Record]:
            return records(self._db, OF_RUNS, {"paths": paths, **bounds})

        found: dict[str, list[Record]] = {}
        for job in self._backwards(read, MAX_ID, 0, _MOST_OF_RUNS, seconds).jobs:
            found.setdefault(str(job["run_path"]), []).append(job)
        return found

    def recent_names(self) -> tuple[list[str], list[str]]:
        """Return the destinations and the instruments of the last jobs, sorted, to choose from."""
        rows = self._db.read(RECENT_NAMES)
        return _names(rows, 0), _names(rows, 1)

    def published(self) -> list[Publication]:
        """Return every run that was verified, once for each destination and equipment; the cost grows with history."""
        return [_publication(row) for row in self._db.read(PUBLISHED)]

    def publication(self, job_id: int) -> Publication | None:
        """Return what a job publishes, or has published; None when there is no such job."""
        rows = self._db.read(BY_JOB, {"job": job_id})
        return _publication(rows[0]) if rows else None

    def states_of_run(self, run_path: str, destination: str) -> dict[int, JobState]:
        """Return the state of each job of a run to a destination, the oldest first; the cost grows with history."""
        params: dict[str, Value] = {"run_path": path_to_sql(run_path), "destination": destination}
        return {whole(job): JobState(str(state)) for job, state in self._db.read(STATES_OF_RUN, params)}

    def equipment_at(self, destination: str) -> set[str]:
        """Return the equipment ids that name folders of a destination."""
        return {str(name) for (name,) in self._db.read(EQUIPMENT, {"destination": destination})}

    def _backwards(
        self, read: Callable[[dict[str, Value]], list[Record]], before: int, lowest: int, limit: int, seconds: float
    ) -> Found:
        """Read one stretch of ids below the other; a quick one makes the next longer."""
        found: list[Record] = []
        stretch, deadline = FIRST_STRETCH, time.monotonic() + seconds
        while True:
            top = self._db.read(NEXT_BELOW, {"id": before})[0][0]  # ids may have gaps of any size
            if top is None or whole(top) < lowest:
                return Found(found, None, cut=False)
            floor = max(whole(top) + 1 - stretch, lowest)
            began = time.monotonic()
            found += read({"before": whole(top) + 1, "floor": floor, "limit": limit + 1 - len(found)})
            if len(found) > limit:
                return Found(found[:limit], whole(found[limit - 1]["id"]), cut=False)
            before = floor
            now = time.monotonic()
            if now >= deadline:
                return Found(found, before, cut=True)
            if now - began < seconds / 8:
                stretch = min(2 * stretch, LONGEST_STRETCH)

    def _first_queued(self, moment: datetime) -> int:
        """Return the id from which on jobs were queued at `moment` or later, by halving."""
        newest = self._db.read(NEXT_BELOW, {"id": MAX_ID})[0][0]
        low, high, wanted = 0, whole(newest or 0) + 1, to_text(moment)
        while low < high:
            middle = (low + high) // 2
            rows = self._db.read(QUEUED_AT, {"id": middle})
            if not rows or str(rows[0][1]) >= wanted:
                high = middle
            else:
                low = whole(rows[0][0]) + 1
        return low


def _names(rows: list[Row], column: int) -> list[str]:
    return sorted({str(row[column]) for row in rows if row[column] is not None})


def _pattern(text: str) -> str | None:
    """Return `text`, anywhere, as a pattern of LIKE; None for everything."""
    for special in "!%_":
        text = text.replace(special, f"!{special}")
    return f"%{text}%" if text else None


def _publication(row: Row) -> Publication:
    job_id, run_path, destination, equipment_id, size, files = row
    return Publication(
        whole(job_id), path_from_sql(run_path), str(destination), text(equipment_id), whole(size), whole(files)
    )

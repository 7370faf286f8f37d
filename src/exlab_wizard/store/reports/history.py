"""The history of all jobs: searched, the newest first, in stretches that each end soon; and the runs it published.

No index serves a search in free text, and none is worth its writes: a search reads the table backwards, a stretch of
ids at a time, until the page is full or its time is over. It then says how far it came, so that it can be continued.
No statement holds a snapshot for longer than one stretch takes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from exlab_wizard.domain.clock import to_text
from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.views import Job
from exlab_wizard.store.reports.rows import MAX_ID
from exlab_wizard.store.sqlite.database import Queries
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import Value, path_to_sql, whole
from exlab_wizard.store.tables import sync_jobs

_job = sync_jobs.c
_b = sa.bindparam

SEARCH_SECONDS: Final = 0.25
FIRST_STRETCH: Final = 4_000
LONGEST_STRETCH: Final = 64_000
_ALL: Final = range(MAX_ID)
_RECENT: Final = 2_000
_MOST_OF_RUNS: Final = 1_000
_CLOCK_ERROR: Final = timedelta(days=1)
"""Ids follow the time of queueing as far as the clock was right: a search by date starts and ends this much wider."""

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
            f"SELECT j.*, s.label FROM {source} LEFT JOIN session_leases s ON s.id = j.session_id"
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
        "SELECT * FROM sync_jobs NOT INDEXED"
        " WHERE id < :before AND id >= :floor AND run_path = :run_path AND finished_at IS NOT NULL"
        " ORDER BY id DESC LIMIT :limit"
    )
)
PENDING_OF_RUN: Final = Statement(
    sa.text(
        "SELECT * FROM sync_jobs INDEXED BY jobs_one_unfinished WHERE run_path = :run_path AND finished_at IS NULL"
        " ORDER BY id DESC"
    )
)
OF_RUNS: Final = Statement(
    sa.text(
        "SELECT * FROM sync_jobs NOT INDEXED WHERE id < :before AND id >= :floor"
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
_PUBLISHED: Final = "run_path, destination, equipment_id, bytes_total AS size, files_total AS files"
# The bare columns are those of the row that has the greatest id.
PUBLISHED: Final = Statement(
    sa.text(
        f"SELECT max(id) AS job_id, {_PUBLISHED} FROM sync_jobs WHERE state IN ('verified', 'cleaned')"
        " GROUP BY run_path, destination, equipment_id ORDER BY max(id)"
    )
)
BY_JOB: Final = Statement(sa.text(f"SELECT id AS job_id, {_PUBLISHED} FROM sync_jobs WHERE id = :job"))
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
class FoundJob(Job):
    """A job, and the label of its session where the search reads it."""

    label: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A page of jobs; `following` is the `before` of the next one, None where nothing older can match.

    `cut`: the time was over before the page was full, and jobs below `following` were not searched.
    """

    jobs: list[FoundJob]
    following: int | None
    cut: bool


@dataclass(frozen=True, slots=True)
class Publication:
    """A run on a destination, and the job that brought it there."""

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
        params: dict[str, Value] = {
            **asdict(search),
            "since": None if search.since is None else to_text(search.since),
            "until": None if search.until is None else to_text(search.until),
            "pattern": _pattern(search.text),
        }
        statement = SEARCH if search.state is None else SEARCH_UNSETTLED.get(search.state, SEARCH)
        ids = range(lowest, min(start, MAX_ID if before is None else before))
        return self._backwards(statement, params, ids, limit, seconds)

    def of_run(self, run_path: str, *, seconds: float = SEARCH_SECONDS) -> Found:
        """Return the jobs of a run: all that are pending, and of the finished ones those that were found in time."""
        params: dict[str, Value] = {"run_path": path_to_sql(run_path)}
        pending = self._db.views(FoundJob, PENDING_OF_RUN, params)
        finished = self._backwards(OF_RUN, params, _ALL, 20, seconds)
        known = {job.id for job in pending}  # one of them may just have finished
        jobs = [*pending, *(job for job in finished.jobs if job.id not in known)]
        return Found(jobs, finished.following, finished.cut)

    def of_runs(self, run_paths: Sequence[str], *, seconds: float = SEARCH_SECONDS) -> dict[str, list[FoundJob]]:
        """Return, by run, those jobs of the given runs that were found in time, the newest first.

        Paths that are not valid Unicode are not searched for.
        """
        paths = json.dumps([path for path in run_paths if isinstance(path_to_sql(path), str)])
        found: dict[str, list[FoundJob]] = {}
        for job in self._backwards(OF_RUNS, {"paths": paths}, _ALL, _MOST_OF_RUNS, seconds).jobs:
            found.setdefault(job.run_path, []).append(job)
        return found

    def recent_names(self) -> tuple[list[str], list[str]]:
        """Return the destinations and the instruments of the last jobs, sorted, to choose from."""
        rows = self._db.read(RECENT_NAMES)
        equipment = {str(name) for _, name in rows if name is not None}
        return sorted({str(name) for name, _ in rows}), sorted(equipment)

    def published(self) -> list[Publication]:
        """Return every run that was verified, once for each destination and equipment; the cost grows with history."""
        return self._db.views(Publication, PUBLISHED)

    def publication(self, job_id: int) -> Publication | None:
        """Return what a job publishes, or has published; None when there is no such job."""
        return self._db.first(Publication, BY_JOB, {"job": job_id})

    def states_of_run(self, run_path: str, destination: str) -> dict[int, JobState]:
        """Return the state of each job of a run to a destination, the oldest first; the cost grows with history."""
        params: dict[str, Value] = {"run_path": path_to_sql(run_path), "destination": destination}
        return {whole(job): JobState(str(state)) for job, state in self._db.read(STATES_OF_RUN, params)}

    def equipment_at(self, destination: str) -> set[str]:
        """Return the equipment ids that name folders of a destination."""
        return {str(name) for (name,) in self._db.read(EQUIPMENT, {"destination": destination})}

    def _backwards(
        self, statement: Statement, params: Mapping[str, Value], ids: range, limit: int, seconds: float
    ) -> Found:
        """Read one stretch of ids below the other; a quick one makes the next longer."""
        found: list[FoundJob] = []
        before, stretch, deadline = ids.stop, FIRST_STRETCH, time.monotonic() + seconds
        while True:
            top = self._db.read(NEXT_BELOW, {"id": before})[0][0]  # ids may have gaps of any size
            if top is None or whole(top) < ids.start:
                return Found(found, None, cut=False)
            floor = max(whole(top) + 1 - stretch, ids.start)
            began = time.monotonic()
            bounds = {"before": whole(top) + 1, "floor": floor, "limit": limit + 1 - len(found)}
            found += self._db.views(FoundJob, statement, {**params, **bounds})
            if len(found) > limit:
                return Found(found[:limit], found[limit - 1].id, cut=False)
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


def _pattern(text: str) -> str | None:
    """Return `text`, anywhere, as a pattern of LIKE; None for everything."""
    for special in "!%_":
        text = text.replace(special, f"!{special}")
    return f"%{text}%" if text else None

"""The state of the application: its counts, pending and waiting jobs, and what its last exit interrupted.

The summary is read once a second while something happens, so it costs what is pending, never history.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from exlab_wizard.domain.clock import to_text
from exlab_wizard.domain.views import Job, LeaseState, Pending, Status, Waiting
from exlab_wizard.store import figures
from exlab_wizard.store.queue import drain
from exlab_wizard.store.queue.launches import Launches
from exlab_wizard.store.reports.rows import RowsReport
from exlab_wizard.store.sqlite.database import Queries
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import Value, real, whole
from exlab_wizard.store.tables import IS_IN_FLIGHT, launches, sync_jobs

MOST_JOBS: Final = 20
MOST_COUNTED: Final = 10_000
"""Of how many jobs bytes are added up: workers are 32 at most, so only a database edited by hand has more."""
_MOST_SESSIONS: Final = 100

_job = sync_jobs.c
SUMMARY: Final = Statement(
    sa.select(
        drain.ACTIVE_SESSIONS,
        drain.IN_FLIGHT,
        sa.func.sum(_job.bytes_done + _job.bytes_verified),
        sa.func.sum(2 * _job.bytes_total),
        sa.literal_column("(SELECT max(eta_s) FROM drain_blockers WHERE kind = 'job')"),
        figures.QUEUED,
        figures.FAILED,
        sa.select(launches.c.paused_since.is_not(None))
        .where(launches.c.id == sa.bindparam("launch"))
        .scalar_subquery(),
    ).where(IS_IN_FLIGHT)
)
COUNTS: Final = Statement(sa.select(figures.QUEUED, figures.FAILED, figures.RESUMABLE))
LAST_EXIT: Final = Statement(
    sa.text(
        "SELECT l.jobs_resumed, p.end_reason, p.ended_at FROM launches l"
        " JOIN launches p ON p.id = (SELECT max(id) FROM launches WHERE id < :launch) WHERE l.id = :launch"
    )
)
# Recovery logs one or two moves for each job, and nothing else: they are the newest of all when it is done.
_REQUEUED: Final = (
    " FROM (SELECT id, job_id, from_state, to_state FROM job_events"
    " WHERE id <= :newest ORDER BY id DESC LIMIT :moves) e"
    " CROSS JOIN sync_jobs j ON j.id = e.job_id WHERE e.from_state = 'resumable' AND e.to_state = 'queued'"
)
# What the last attempt found sent already is known once it has compared; until then it is what was sent before.
_KEPT: Final = (
    "CASE WHEN j.launch_id = :launch AND (j.bytes_resumed > 0 OR j.finished_at IS NOT NULL)"
    " THEN j.bytes_resumed ELSE j.bytes_done END"
)
RESUMED: Final = Statement(sa.text(f"SELECT j.*{_REQUEUED} ORDER BY e.id LIMIT {MOST_JOBS}"))
KEPT: Final = Statement(sa.text(f"SELECT coalesce(sum({_KEPT}), 0){_REQUEUED}"))


@dataclass(frozen=True, slots=True)
class LaunchSummary:
    """Counts of jobs and active leases; bytes moved of all bytes to be sent and read back; seconds left or None."""

    sessions: int
    in_flight: int
    moved: int
    total: int
    left_s: float | None
    queued: int
    failed: int
    paused: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """How many jobs wait in the queue, wait for an operator, and resume at the next launch."""

    queued: int
    failed: int
    resumable: int


@dataclass(frozen=True, slots=True)
class LastExit:
    """How the last launch ended, when, and the jobs that were resumed since; `jobs` are some of the `resumed`.

    `bytes_kept` are the bytes that need not be sent again: of all of them, or where there are more, of `MOST_COUNTED`.
    """

    ended: str
    ended_at: str
    resumed: int
    bytes_kept: int
    jobs: list[Job]

    @property
    def all_counted(self) -> bool:
        """Whether `bytes_kept` is of all of them."""
        return self.resumed <= MOST_COUNTED


class StatusReport(Queries):
    """Reads for the icon, `exlab-wizard status`, and the head of each page."""

    def read(self) -> Status:
        """Return what runs, waits and failed, for `exlab-wizard status` and for the API, which show the same."""
        rows = RowsReport(self._db)
        ended = [row for row in rows.launches(limit=2) if row.ended_at is not None]
        return Status(
            launch=Launches(self._db).open_launch(),
            pending=self.pending(),
            in_flight=drain.DrainQueries(self._db).blockers(),
            waiting=self._db.views(Waiting, figures.WAITING),
            failed=self.counts().failed,
            sessions=[one for one in rows.sessions(limit=_MOST_SESSIONS) if one.state is LeaseState.ACTIVE],
            last_launch=ended[0] if ended else None,
        )

    def summary(self, launch_id: int, now: datetime) -> LaunchSummary:
        """Return the counts of `launch_id`, in one snapshot."""
        row = self._db.read(SUMMARY, {"launch": launch_id, "now": to_text(now)})[0]
        sessions, in_flight, moved, total, left, queued, failed, paused = row
        counts = (whole(sessions), whole(in_flight), whole(moved or 0), whole(total or 0))
        return LaunchSummary(*counts, real(left), whole(queued), whole(failed), bool(paused))

    def counts(self) -> Counts:
        """Return how much is not done."""
        return Counts(*(whole(count) for count in self._db.read(COUNTS)[0]))

    def pending(self) -> dict[str, Pending]:
        """Return how many unfinished jobs there are in each state, and their bytes left."""
        pending: dict[str, Pending] = {}
        for state, _, jobs, left, _ in self._db.read(figures.UNFINISHED):
            known = pending.get(str(state), Pending(0, 0))
            pending[str(state)] = Pending(known.jobs + whole(jobs), known.bytes_left + whole(left))
        return pending

    def last_exit(self, launch_id: int, newest_event: int) -> LastExit | None:
        """Return what the exit before `launch_id` interrupted; None if it was clean, or there was none.

        `newest_event` is the newest row of `job_events` right after the recovery.
        """
        found = self._db.read(LAST_EXIT, {"launch": launch_id})
        if not found or found[0][1] in (None, "drained"):
            return None
        resumed, ended, ended_at = whole(found[0][0]), str(found[0][1]), str(found[0][2])
        params: dict[str, Value] = {"launch": launch_id, "newest": newest_event}
        jobs = self._db.views(Job, RESUMED, params | {"moves": 2 * min(resumed, MOST_JOBS)})
        ((kept,),) = self._db.read(KEPT, params | {"moves": 2 * min(resumed, MOST_COUNTED)})
        return LastExit(ended, ended_at, resumed, whole(kept), jobs)

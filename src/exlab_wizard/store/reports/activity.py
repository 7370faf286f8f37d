"""The activity of this moment: jobs in flight, due, retried and waiting, active sessions, the last arrivals.

Each query costs what is pending or new, never history, and is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from exlab_wizard.domain.views import Job, SessionRow, Waiting
from exlab_wizard.store.reports.rows import JOB_COLUMNS
from exlab_wizard.store.sqlite.database import Queries
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.tables import IS_ACTIVE, IS_DELAYED, IS_DUE, IS_IN_FLIGHT, session_leases, sync_jobs

MOST_ROWS: Final = 50
_RECENT_EVENTS: Final = 200
_SAMPLE: Final = 20

_job, _lease = sync_jobs.c, session_leases.c
_limit: Final[sa.ColumnElement[int]] = sa.literal_column(str(MOST_ROWS))
_jobs: Final = sa.select(*JOB_COLUMNS).limit(_limit)

IN_FLIGHT: Final = Statement(_jobs.where(IS_IN_FLIGHT).order_by(_job.claimed_at, _job.id))
DUE: Final = Statement(_jobs.where(IS_DUE).order_by(_job.priority.desc(), _job.id))
RETRIED: Final = Statement(_jobs.where(IS_DELAYED, _job.waiting_on.is_(None)).order_by(_job.not_before))
# Since when: the oldest of the last returns to the queue, among the first of those that wait. The others of the same
# destination were never tried, and have none.
WAITING: Final = Statement(
    sa.text(
        "SELECT w.destination, w.waiting_on, w.jobs, coalesce((SELECT min(at) FROM (SELECT max(e.at) AS at FROM"
        " (SELECT id FROM sync_jobs s WHERE s.state = 'queued' AND s.waiting_on IS NOT NULL"
        f" AND s.destination = w.destination AND s.waiting_on = w.waiting_on LIMIT {_SAMPLE}) first"
        " CROSS JOIN job_events e ON e.job_id = first.id WHERE e.to_state = 'queued' GROUP BY e.job_id)),"
        " w.enqueued_at) AS since, w.run_path FROM"
        " (SELECT destination, waiting_on, count(*) AS jobs, min(enqueued_at) AS enqueued_at, run_path"
        " FROM sync_jobs WHERE state = 'queued' AND waiting_on IS NOT NULL"
        f" GROUP BY destination, waiting_on LIMIT {MOST_ROWS}) w"
    )
)
SESSIONS: Final = Statement(sa.select(*_lease).where(IS_ACTIVE).order_by(_lease.opened_at, _lease.id).limit(_limit))
VERIFIED: Final = Statement(
    sa.text(
        "SELECT j.*, e.at AS verified_at"  # which stands for the job's own
        f" FROM (SELECT id, job_id, at, to_state FROM job_events ORDER BY id DESC LIMIT {_RECENT_EVENTS}) e"
        " CROSS JOIN sync_jobs j ON j.id = e.job_id WHERE e.to_state = 'verified' ORDER BY e.id DESC LIMIT 5"
    )
)


@dataclass(frozen=True, slots=True)
class WaitingSince(Waiting):
    """Jobs that wait for the same thing, when it was noticed, and one of their runs."""

    since: datetime
    run_path: str


class ActivityReport(Queries):
    """Reads for the first page, at most 50 rows of a kind."""

    def in_flight(self) -> list[Job]:
        """Return the jobs that are being sent or read back, the first claimed first."""
        return self._db.views(Job, IN_FLIGHT)

    def due(self) -> list[Job]:
        """Return the jobs that wait for a worker only, in the order in which they are claimed."""
        return self._db.views(Job, DUE)

    def retried(self) -> list[Job]:
        """Return the jobs that failed and are retried automatically, the next first."""
        return self._db.views(Job, RETRIED)

    def waiting(self) -> list[WaitingSince]:
        """Return each thing that jobs wait for."""
        return self._db.views(WaitingSince, WAITING)

    def sessions(self) -> list[SessionRow]:
        """Return the active sessions, the oldest first."""
        return self._db.views(SessionRow, SESSIONS)

    def verified(self) -> list[Job]:
        """Return the jobs that were verified last, if that is not long ago; `verified_at` is there after SQL, too."""
        return self._db.views(Job, VERIFIED)

"""The activity of this moment: jobs that are due, retried and waiting, and the last arrivals.

Each query costs what is pending or new, never history, and is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from exlab_wizard.domain.views import Job, Waiting
from exlab_wizard.store import figures
from exlab_wizard.store.reports.rows import JOB_COLUMNS
from exlab_wizard.store.sqlite.database import Queries
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.tables import IS_DELAYED, IS_DUE, sync_jobs

MOST_ROWS: Final = 50
_RECENT_EVENTS: Final = 200
_SAMPLE: Final = 20

_job = sync_jobs.c
_limit: Final[sa.ColumnElement[int]] = sa.literal_column(str(MOST_ROWS))
_jobs: Final = sa.select(*JOB_COLUMNS).limit(_limit)

DUE: Final = Statement(_jobs.where(IS_DUE).order_by(_job.priority.desc(), _job.id))
RETRIED: Final = Statement(_jobs.where(IS_DELAYED, _job.waiting_on.is_(None)).order_by(_job.not_before))
# Since when: the oldest of the last returns to the queue, among the first of those that wait. The others of the same
# destination were never tried, and have none.
_since: Final[sa.ColumnElement[str]] = sa.literal_column(
    "coalesce((SELECT min(at) FROM (SELECT max(e.at) AS at FROM"
    " (SELECT id FROM sync_jobs s WHERE s.state = 'queued' AND s.waiting_on IS NOT NULL"
    f" AND s.destination = w.destination AND s.waiting_on = w.waiting_on LIMIT {_SAMPLE}) first"
    " CROSS JOIN job_events e ON e.job_id = first.id WHERE e.to_state = 'queued' GROUP BY e.job_id)), w.enqueued_at)"
)
# SQLite takes `run_path` from the row whose `enqueued_at` is the least.
_waiting = figures.waiting(sa.func.min(_job.enqueued_at).label("enqueued_at"), _job.run_path).limit(_limit)
_w: Final = _waiting.subquery("w").c
WAITING: Final = Statement(sa.select(_w.destination, _w.waiting_on, _w.jobs, _since.label("since"), _w.run_path))
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

    def due(self) -> list[Job]:
        """Return the jobs that wait for a worker only, in the order in which they are claimed."""
        return self._db.views(Job, DUE)

    def retried(self) -> list[Job]:
        """Return the jobs that failed and are retried automatically, the next first."""
        return self._db.views(Job, RETRIED)

    def waiting(self) -> list[WaitingSince]:
        """Return each thing that jobs wait for."""
        return self._db.views(WaitingSince, WAITING)

    def verified(self) -> list[Job]:
        """Return the jobs that were verified last, if that is not long ago; `verified_at` is there after SQL, too."""
        return self._db.views(Job, VERIFIED)

"""Events since a moment that the reader remembers: moves, new jobs, progress, sessions, failures, arrivals.

Each query costs what is new, waiting or in flight, never history.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from exlab_wizard.domain.job import DESTINATION_WAITS, WaitReason
from exlab_wizard.domain.views import SessionRow, Waiting
from exlab_wizard.store import figures
from exlab_wizard.store.reports.rows import NUMBERED_SESSIONS
from exlab_wizard.store.sqlite.database import Queries
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import view, whole
from exlab_wizard.store.tables import IS_IN_FLIGHT, SESSION_NUMBER, job_events, session_leases, sync_jobs

_b = sa.bindparam
_job, _event = sync_jobs.c, job_events.c

_RUN: Final = (_job.run_path, _job.destination)
_NEWEST_SESSION: Final = sa.select(sa.func.coalesce(sa.func.max(SESSION_NUMBER), 0)).select_from(session_leases)
_FAILURES_AT_ONCE: Final = 200

NEWEST: Final = Statement(sa.select(figures.NEWEST_EVENT, figures.NEWEST_JOB, _NEWEST_SESSION.scalar_subquery()))
MOVES: Final = Statement(
    sa.select(*(_event[name] for name in ("id", "job_id", "at", "from_state", "to_state", "reason")), *_RUN)
    .join_from(job_events, sync_jobs, _job.id == _event.job_id)
    .where(_event.id > _b("after"))
    .order_by(_event.id)
    .limit(_b("limit"))
)
QUEUED: Final = Statement(
    sa.select(
        _job.id,
        _job.id.label("job_id"),
        _job.enqueued_at.label("at"),
        sa.null().label("from_state"),
        sa.literal_column("'queued'").label("to_state"),
        sa.literal_column("'enqueued'").label("reason"),
        *_RUN,
    )
    .where(_job.id > _b("after"))
    .order_by(_job.id)
    .limit(_b("limit"))
)
OPENED: Final = Statement(NUMBERED_SESSIONS.where(_b("after") < SESSION_NUMBER).order_by(SESSION_NUMBER))
# CROSS JOIN keeps SQLite from beginning with all failed jobs there are.
FAILURES: Final = Statement(
    sa.text(
        "SELECT e.id, e.job_id, j.run_path, j.destination, coalesce(j.error_kind, 'unknown') AS kind,"
        " coalesce(j.error_detail, '') AS detail"
        " FROM job_events e CROSS JOIN sync_jobs j ON j.id = e.job_id"
        " WHERE e.id > :after AND e.id <= :upto AND e.to_state = 'failed' AND j.state = 'failed'"
        " ORDER BY e.id LIMIT :limit"
    )
)
BYTES_SENT: Final = Statement(
    sa.select(_job.id, _job.bytes_done).where(IS_IN_FLIGHT, _job.destination == _b("destination"))
)
HAS_ARRIVED: Final = Statement(
    sa.text(
        "SELECT 1 FROM job_events e CROSS JOIN sync_jobs j ON j.id = e.job_id"
        " WHERE e.id > :after AND e.to_state = 'verifying' AND j.destination = :destination LIMIT 1"
    )
)


@dataclass(frozen=True, slots=True)
class Newest:
    """The number of the newest event, job and session; 0 where there is none."""

    event: int
    job: int
    session: int


@dataclass(frozen=True, slots=True)
class Move:
    """A move of a job; where it is its queueing, `id` is that of the job.

    Its states are any text, unlike those of `JobEvent`: an event written with SQL must not stop the stream.
    """

    id: int
    job_id: int
    at: datetime
    from_state: str | None
    to_state: str
    reason: str | None
    run_path: str
    destination: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A job that failed for good; `detail` says what went wrong and what to do."""

    job_id: int
    run_path: str
    destination: str
    kind: str
    detail: str


class EventsReport(Queries):
    """Reads for event streams and notifications, which follow the database."""

    def newest(self) -> Newest:
        """Return how far the history goes."""
        return Newest(*(whole(number) for number in self._db.read(NEWEST)[0]))

    def moves(self, after: int, limit: int) -> list[Move]:
        """Return the moves of jobs after the one with id `after`, the oldest first."""
        return self._db.views(Move, MOVES, {"after": after, "limit": limit})

    def queued(self, after: int, limit: int) -> list[Move]:
        """Return the jobs that were queued after the one with id `after`, in the form of moves, the oldest first."""
        return self._db.views(Move, QUEUED, {"after": after, "limit": limit})

    def opened_sessions(self, after: int, limit: int) -> tuple[list[SessionRow], int]:
        """Return the sessions opened after the one with the number `after`, and the number to continue from."""
        found = self._db.named(OPENED, {"after": after, "limit": limit})
        return [view(SessionRow, row) for row in found], whole(found[-1]["number"]) if found else after

    def failures(self, after: int) -> tuple[list[Failure], int]:
        """Return jobs that failed after the move with id `after` and still are, and the move to continue from."""
        upto = self.newest().event
        if upto <= after:  # also after a backup was restored: its moves are no news
            return [], upto
        found = self._db.named(FAILURES, {"after": after, "upto": upto, "limit": _FAILURES_AT_ONCE})
        failures = [view(Failure, row) for row in found]
        return failures, whole(found[-1]["id"]) if len(found) == _FAILURES_AT_ONCE else upto

    def waiting_for_destination(self) -> dict[tuple[str, WaitReason], int]:
        """Return how many jobs wait for a destination that is offline or full."""
        return {
            (one.destination, one.waiting_on): one.jobs
            for one in self._db.views(Waiting, figures.WAITING)
            if one.waiting_on in DESTINATION_WAITS
        }

    def bytes_sent(self, destination: str) -> dict[int, int]:
        """Return how many bytes each job in flight to `destination` has sent."""
        rows = self._db.read(BYTES_SENT, {"destination": destination})
        return {whole(job): whole(sent) for job, sent in rows}

    def has_arrived(self, destination: str, after: int) -> bool:
        """Return whether all bytes of some run have reached `destination` since the move with id `after`."""
        return bool(self._db.read(HAS_ARRIVED, {"destination": destination, "after": after}))

"""What happened since a moment that the reader remembers: moves, new jobs, progress, sessions.

Each question costs what is new or in flight, never history.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from exlab_wizard.store.reports.rows import Record, records
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import whole
from exlab_wizard.store.tables import IS_IN_FLIGHT, job_events, session_leases, sync_jobs

_b = sa.bindparam
_job, _event = sync_jobs.c, job_events.c

_OPENED: Final[sa.ColumnElement[int]] = sa.literal_column("session_leases.rowid")

NEWEST: Final = Statement(
    sa.select(
        sa.select(sa.func.coalesce(sa.func.max(_event.id), 0)).scalar_subquery(),
        sa.select(sa.func.coalesce(sa.func.max(_job.id), 0)).scalar_subquery(),
        sa.select(sa.func.coalesce(sa.func.max(_OPENED), 0)).select_from(session_leases).scalar_subquery(),
    )
)
MOVES: Final = Statement(
    sa.select(
        _event.id,
        _event.job_id,
        _event.at,
        _event.from_state,
        _event.to_state,
        _event.reason,
        _job.run_path,
        _job.destination,
    )
    .join_from(job_events, sync_jobs, _job.id == _event.job_id)
    .where(_event.id > _b("after"))
    .order_by(_event.id)
    .limit(_b("limit"))
)
QUEUED: Final = Statement(
    sa.select(
        _job.id.label("job_id"),
        _job.enqueued_at.label("at"),
        sa.null().label("from_state"),
        sa.literal_column("'queued'").label("to_state"),
        sa.literal_column("'enqueued'").label("reason"),
        _job.run_path,
        _job.destination,
    )
    .where(_job.id > _b("after"))
    .order_by(_job.id)
    .limit(_b("limit"))
)
IN_FLIGHT: Final = Statement(
    sa.select(
        _job.id.label("job_id"),
        _job.state,
        _job.files_done,
        _job.files_total,
        _job.bytes_done,
        _job.bytes_verified,
        _job.bytes_total,
    ).where(IS_IN_FLIGHT)
)
_SESSION: Final = [session_leases.c[name] for name in ("id", "kind", "label", "operator", "state")]
ACTIVE: Final = Statement(
    sa.select(*_SESSION).where(session_leases.c.state == sa.literal_column("'active'")).limit(_b("limit"))
)
OPENED: Final = Statement(
    sa.select(_OPENED.label("number"), *_SESSION).where(_b("after") < _OPENED).order_by(_OPENED).limit(_b("limit"))
)


@dataclass(frozen=True, slots=True)
class Newest:
    """The number of the newest move, job and session; 0 where there is none."""

    move: int
    job: int
    session: int


class Changes:
    """Reads for whoever follows the database."""

    def __init__(self, database: Database) -> None:
        """Work on `database`."""
        self._db = database

    def newest(self) -> Newest:
        """Return how far the history goes."""
        return Newest(*(whole(number) for number in self._db.read(NEWEST)[0]))

    def moves(self, after: int, limit: int) -> list[Record]:
        """Return the moves of jobs after the one with id `after`, the oldest first."""
        return records(self._db, MOVES, {"after": after, "limit": limit})

    def queued(self, after: int, limit: int) -> list[Record]:
        """Return the jobs that were queued after the one with id `after`, in the form of moves, the oldest first."""
        return records(self._db, QUEUED, {"after": after, "limit": limit})

    def in_flight(self) -> list[Record]:
        """Return how far the jobs in flight have come."""
        return records(self._db, IN_FLIGHT, {})

    def active_sessions(self, limit: int) -> list[Record]:
        """Return the active sessions."""
        return records(self._db, ACTIVE, {"limit": limit})

    def opened_sessions(self, after: int, limit: int) -> list[Record]:
        """Return the sessions that were opened after the one with the number `after`, as they stand now."""
        return records(self._db, OPENED, {"after": after, "limit": limit})

"""Session leases: open, renew, complete, abort, expire. Completing one queues its runs in the same transaction."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from exlab_wizard.crash_points import Point, reached
from exlab_wizard.domain.clock import to_text
from exlab_wizard.domain.views import LeaseState, SessionKind, SessionRow
from exlab_wizard.errors import RefusedError
from exlab_wizard.store.queue.jobs import MOVE_DELAYS, Enqueued, NewJob, enqueue_in
from exlab_wizard.store.sqlite.database import Queries
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import Value, moment, path_to_sql, whole
from exlab_wizard.store.tables import IS_ACTIVE, launches, session_leases

log = logging.getLogger(__name__)

_lease = session_leases.c
_b = sa.bindparam
# The moved time keeps its one text form: julianday arithmetic, written back in milliseconds.
_MOVE_BY: Final = "strftime('%Y-%m-%dT%H:%M:%fZ', session_leases.{column}, :step)"

RENEWED: Final = sa.text("strftime('%Y-%m-%dT%H:%M:%fZ', :now, session_leases.ttl_s || ' seconds')")
_GIVEN: Final = ("id", "kind", "label", "operator", "equipment_id", "run_path", "ttl_s")
_active = sa.update(session_leases).where(IS_ACTIVE)

OPEN: Final = Statement(
    sqlite.insert(session_leases)
    .from_select(
        [*_GIVEN, "opened_at", "renewed_at", "expires_at", "launch_id"],
        sa.select(*map(_b, _GIVEN), _b("now"), _b("now"), _b("expires_at"), launches.c.id).where(
            launches.c.id == _b("launch"), launches.c.draining_since.is_(None), launches.c.ended_at.is_(None)
        ),
    )
    .on_conflict_do_nothing()
)
RENEW: Final = Statement(
    _active.where(_lease.id == _b("id"), _lease.expires_at > _b("now"))
    .values(renewed_at=_b("now"), expires_at=RENEWED)
    .returning(_lease.expires_at)
)
CLOSE: Final = Statement(_active.where(_lease.id == _b("id")).values(state=_b("to_state"), closed_at=_b("now")))
EXPIRE: Final = Statement(
    _active.where(_lease.expires_at <= _b("now"))
    .values(state=sa.literal_column("'expired'"), closed_at=_b("now"))
    .returning(_lease.id)
)
MOVE_CLOCK: Final = Statement(
    _active.values({name: sa.text(_MOVE_BY.format(column=name)) for name in ("expires_at", "renewed_at")})
)
NEXT_EXPIRY: Final = Statement(sa.select(sa.func.min(_lease.expires_at)).where(IS_ACTIVE))
# The job of a run is the one that the closing queued, or found pending; an older one was over by then and is no answer.
JOBS_OF_CLOSED: Final = Statement(
    sa.text(
        "SELECT job.run_path, job.destination, max(job.id) FROM sync_jobs AS job, session_leases AS lease"
        " WHERE lease.id = :id AND job.enqueued_at <= lease.closed_at"
        " AND (job.session_id = lease.id OR job.finished_at IS NULL OR job.finished_at >= lease.closed_at)"
        " AND job.run_path IN (SELECT value FROM json_each(:paths)) GROUP BY job.run_path, job.destination"
    )
)
FIND: Final = Statement(sa.select(*_lease).where(_lease.id == _b("id")))


@dataclass(frozen=True, slots=True)
class NewSession:
    """Foreground work to protect; `id` may be chosen by the client, so that it can retry after a lost answer."""

    kind: SessionKind
    label: str
    ttl_s: float
    operator: str | None = None
    equipment_id: str | None = None
    run_path: str | None = None
    id: str | None = None


class Sessions(Queries):
    """The table `session_leases`."""

    def open(self, session: NewSession, launch_id: int, now: datetime) -> SessionRow:
        """Open a lease under this launch; the same client-chosen id again returns the lease that it opened.

        Raises:
            RefusedError: the launch is draining or over.
        """
        lease_id = session.id or secrets.token_hex(16)
        expires_at = now + timedelta(seconds=session.ttl_s)
        run_path = None if session.run_path is None else path_to_sql(session.run_path)
        given = {**asdict(session), "id": lease_id, "run_path": run_path, "launch": launch_id}
        self._db.write(OPEN, {**given, "now": to_text(now), "expires_at": to_text(expires_at)})
        found = self.find(lease_id)
        if found is None:
            msg = "cannot open a session: the application is shutting down. Open it after the next launch."
            raise RefusedError(msg)
        return found

    def find(self, lease_id: str) -> SessionRow | None:
        """Return the lease, or None when there is none of that id."""
        return self._db.first(SessionRow, FIND, {"id": lease_id})

    def renew(self, lease_id: str, now: datetime) -> datetime | None:
        """Give an active lease a fresh TTL and return when it ends; None when it has ended already."""
        rows = self._db.write(RENEW, {"id": lease_id, "now": to_text(now)})
        return moment(rows[0][0]) if rows else None

    def complete(self, lease_id: str, runs: Sequence[NewJob], now: datetime) -> list[Enqueued] | None:
        """Close the lease and queue its runs in one transaction; None when it is not active, and nothing is queued."""
        reached(Point.LEASE_BEFORE_COMPLETE)
        with self._db.transaction() as transaction:
            closing: dict[str, Value] = {"id": lease_id, "to_state": LeaseState.COMPLETED, "now": to_text(now)}
            if transaction.change(CLOSE, closing) != 1:
                return None
            reached(Point.LEASE_CLOSED)
            queued = [enqueue_in(transaction, run, now) for run in runs]
        reached(Point.LEASE_COMPLETED)
        return queued

    def jobs_of_completed(self, lease_id: str, runs: Sequence[NewJob]) -> list[int] | None:
        """Return the jobs of `runs` as `complete` returned them; None when those were other runs.

        For a client that retries after a lost answer; the search through history takes time.
        """
        paths = json.dumps([run.run_path for run in runs])
        rows = self._db.read(JOBS_OF_CLOSED, {"id": lease_id, "paths": paths})
        found = {(path, destination): whole(job) for path, destination, job in rows}
        jobs = [found.get((path_to_sql(run.run_path), run.destination)) for run in runs]
        return [job for job in jobs if job is not None] if None not in jobs else None

    def abort(self, lease_id: str, now: datetime) -> bool:
        """Close the lease without queueing anything; False when it is not active."""
        closing: dict[str, Value] = {"id": lease_id, "to_state": LeaseState.ABORTED, "now": to_text(now)}
        return self._db.change(CLOSE, closing) == 1

    def expire(self, now: datetime) -> int:
        """Close the leases that have expired; returns how many."""
        with self._db.transaction() as transaction:
            ended = transaction.run(EXPIRE, {"now": to_text(now)})
        for (lease_id,) in ended:
            log.warning(
                "session %s expired: its client stopped sending heartbeats", lease_id, extra={"session": lease_id}
            )
        return len(ended)

    def next_expiry(self) -> datetime | None:
        """Return when the next active lease expires."""
        at = self._db.read(NEXT_EXPIRY)[0][0]
        return None if at is None else moment(at)

    def move_clock(self, step: timedelta) -> None:
        """Move all active leases by a step of the wall clock; a step back moves the delays of jobs, too.

        A step forward counts as waiting: the machine may have slept.
        """
        by: dict[str, Value] = {"step": f"{step.total_seconds():+.3f} seconds"}
        with self._db.transaction() as transaction:
            transaction.change(MOVE_CLOCK, by)
            if step < timedelta(0):
                transaction.change(MOVE_DELAYS, by)

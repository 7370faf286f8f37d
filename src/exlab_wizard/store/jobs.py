"""Sync jobs: enqueue, claim, checkpoint, finish, release, retry, cancel.

A claim is one statement, and every later write of its worker is a compare-and-set on `claim_id`: zero rows mean that the
job was cancelled, requeued or taken over, and the worker stops.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from exlab_wizard.domain.clock import from_text, to_text
from exlab_wizard.domain.job import ErrorKind, JobState, WaitReason
from exlab_wizard.domain.outcome import SUSPECT_AFTER_CRASHES, AttemptHistory, Decision
from exlab_wizard.store.database import Database, Row, Statement, Transaction, Value
from exlab_wizard.store.tables import (
    IS_DELAYED,
    IS_DUE,
    IS_IN_FLIGHT,
    IS_UNFINISHED,
    IS_WAITING,
    launches,
    state,
    sync_jobs,
)
from exlab_wizard.store.values import path_from_sql, path_to_sql

_job = sync_jobs.c
_b = sa.bindparam

ENQUEUE: Final = Statement(
    sa.dialects.sqlite.insert(sync_jobs)
    .values(
        run_path=_b("run_path"),
        destination=_b("destination"),
        equipment_id=_b("equipment_id"),
        session_id=_b("session_id"),
        priority=_b("priority"),
        enqueued_at=_b("now"),
    )
    .on_conflict_do_nothing(index_elements=[_job.run_path, _job.destination], index_where=IS_UNFINISHED)
    .returning(_job.id)
)
FIND_UNFINISHED: Final = Statement(
    sa.select(_job.id).where(_job.run_path == _b("run_path"), _job.destination == _b("destination"), IS_UNFINISHED)
)

_suspect_in_flight = (
    sa.select(sa.literal_column("1"))
    .select_from(sync_jobs.alias("other"))
    .where(sa.text("other.state IN ('running', 'verifying')"), sa.text(f"other.crashes >= {SUSPECT_AFTER_CRASHES}"))
    .exists()
)
_next_due = (
    sa.select(_job.id)
    .where(IS_DUE, sa.or_(_job.crashes < sa.literal_column(str(SUSPECT_AFTER_CRASHES)), sa.not_(_suspect_in_flight)))
    .order_by(_job.priority.desc(), _job.id)
    .limit(sa.literal_column("1"))
    .scalar_subquery()
    .correlate(None)
)
_gate_open = (
    sa.select(sa.literal_column("1"))
    .where(launches.c.id == _b("launch"), launches.c.draining_since.is_(None), launches.c.ended_at.is_(None))
    .exists()
)
CLAIM: Final = Statement(
    sa.update(sync_jobs)
    .where(_job.id == _next_due, _gate_open)
    .values(
        state=state(JobState.RUNNING),
        state_reason=sa.literal_column("'claimed'"),
        claim_id=_b("claim"),
        launch_id=_b("launch"),
        claimed_at=_b("now"),
        attempts=_job.attempts + sa.literal_column("1"),
        waiting_on=sa.null(),
        bytes_resumed=sa.literal_column("0"),
    )
    .returning(
        _job.id,
        _job.run_path,
        _job.destination,
        _job.equipment_id,
        _job.claim_id,
        _job.attempts,
        _job.error_kind,
        _job.enqueued_at,
    )
)
PROMOTE_DUE: Final = Statement(
    sa.update(sync_jobs)
    .where(IS_DELAYED, _job.not_before <= _b("now"))
    .values(not_before=sa.null(), waiting_on=sa.null())
)

_ours = sa.and_(_job.id == _b("job"), _job.claim_id == _b("claim"), IS_IN_FLIGHT)
FINISH: Final = Statement(
    sa.update(sync_jobs)
    .where(_ours)
    .values(
        state=_b("to_state"),
        state_reason=_b("reason"),
        attempts=_job.attempts - _b("given_back"),
        interruptions=_job.interruptions + _b("interrupted"),
        not_before=_b("not_before"),
        waiting_on=_b("waiting_on"),
        error_kind=_b("error_kind"),
        error_detail=_b("error_detail"),
        claim_id=sa.null(),
        finished_at=_b("finished_at"),
        verified_at=sa.func.coalesce(_b("verified_at"), _job.verified_at),
        verify_passes=_job.verify_passes + _b("passes"),
    )
)
ALL_SENT: Final = Statement(
    sa.update(sync_jobs)
    .where(_ours)
    .values(state=state(JobState.VERIFYING), state_reason=sa.literal_column("'all bytes sent'"))
)
STILL_CLAIMED: Final = Statement(sa.select(sa.literal_column("1")).where(_ours))
INTERRUPT_LAUNCH: Final = Statement(
    sa.update(sync_jobs)
    .where(IS_IN_FLIGHT, _job.launch_id == _b("launch"))
    .values(
        state=state(JobState.RESUMABLE),
        state_reason=_b("reason"),
        claim_id=sa.null(),
        attempts=sa.func.max(_job.attempts - sa.literal_column("1"), sa.literal_column("0")),
        interruptions=_job.interruptions + sa.literal_column("1"),
    )
)
HOLD_DESTINATION: Final = Statement(
    sa.update(sync_jobs)
    .where(IS_DUE, _job.destination == _b("destination"))
    .values(not_before=_b("not_before"), waiting_on=_b("waiting_on"))
)
RELEASE_DESTINATION: Final = Statement(
    sa.update(sync_jobs)
    .where(IS_WAITING, _job.destination == _b("destination"), _job.waiting_on == _b("waiting_on"))
    .values(not_before=sa.null(), waiting_on=sa.null())
)
WAITING_DESTINATIONS: Final = Statement(
    sa.select(_job.destination, _job.waiting_on, sa.func.min(_job.bytes_total - _job.bytes_done))
    .where(
        IS_WAITING, _job.waiting_on.in_([sa.literal_column(f"'{w}'") for w in ("destination_offline", "destination_full")])
    )
    .group_by(_job.destination, _job.waiting_on)
)
NEXT_DUE_AT: Final = Statement(sa.select(sa.func.min(_job.not_before)).where(IS_DELAYED))
RETRY: Final = Statement(
    sa.update(sync_jobs)
    .where(_job.id == _b("job"), _job.state == state(JobState.FAILED))
    .values(state=state(JobState.QUEUED), state_reason=sa.literal_column("'retried by an operator'"))
)
CANCEL: Final = Statement(
    sa.update(sync_jobs)
    .where(_job.id == _b("job"))
    .values(state=state(JobState.CANCELLED), state_reason=sa.literal_column("'cancelled by an operator'"))
)
STATE_OF: Final = Statement(sa.select(_job.state).where(_job.id == _b("job")))


@dataclass(frozen=True, slots=True)
class NewJob:
    """One run to one destination; `run_path` is absolute, in the form of `os.fsdecode`."""

    run_path: str
    destination: str
    equipment_id: str | None = None
    session_id: str | None = None
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The job's id, and whether it was made now or was already pending."""

    job_id: int
    created: bool


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that a worker holds until its `claim_id` is gone from the row."""

    job_id: int
    claim_id: str
    run_path: str
    destination: str
    equipment_id: str | None
    history: AttemptHistory


class Jobs:
    """The table `sync_jobs`."""

    def __init__(self, database: Database) -> None:
        """Work on `database`."""
        self._db = database

    def enqueue(self, job: NewJob, now: datetime) -> Enqueued:
        """Make `job` durable; a run that is pending for that destination already is found, not doubled."""
        rows = self._db.write(ENQUEUE, _enqueue_params(job, now))
        if rows:
            return Enqueued(_int(rows[0][0]), created=True)
        with self._db.transaction() as transaction:
            return enqueue_in(transaction, job, now)

    def claim(self, launch_id: int, now: datetime) -> ClaimedJob | None:
        """Take the next due job for this launch; None when there is none or the launch is draining."""
        with self._db.transaction() as transaction:
            return _claim_in(transaction, launch_id, now)

    def finish(self, job: ClaimedJob, decision: Decision, now: datetime) -> bool:
        """Move the job to where `decision` says; False when the claim is lost, and then nothing was written."""
        with self._db.transaction() as transaction:
            return transaction.change(FINISH, _finish_params(job, decision, now)) == 1

    def finish_and_claim(
        self, job: ClaimedJob, decision: Decision, launch_id: int, now: datetime
    ) -> tuple[bool, ClaimedJob | None]:
        """Finish one job and take the next in one transaction: one fsync instead of two."""
        with self._db.transaction() as transaction:
            finished = transaction.change(FINISH, _finish_params(job, decision, now)) == 1
            return finished, _claim_in(transaction, launch_id, now)

    def all_sent(self, job_id: int, claim_id: str) -> bool:
        """Move a running job to verifying; False when the claim is lost."""
        with self._db.transaction() as transaction:
            return transaction.change(ALL_SENT, {"job": job_id, "claim": claim_id}) == 1

    def still_claimed(self, job_id: int, claim_id: str) -> bool:
        """Return whether the claim still holds."""
        return bool(self._db.read(STILL_CLAIMED, {"job": job_id, "claim": claim_id}))

    def interrupt_launch(self, launch_id: int, reason: str) -> int:
        """Mark everything this launch has in flight as resumable, attempts given back; returns how many rows."""
        with self._db.transaction() as transaction:
            return transaction.change(INTERRUPT_LAUNCH, {"launch": launch_id, "reason": reason})

    def hold(self, destination: str, waiting_on: WaitReason, until: datetime) -> None:
        """Let the due jobs of a destination that is away wait too, instead of finding out one by one."""
        self._db.write(
            HOLD_DESTINATION,
            {"destination": destination, "waiting_on": waiting_on.value, "not_before": to_text(until)},
        )

    def release(self, destination: str, waiting_on: WaitReason) -> None:
        """Make the jobs that wait for `destination` due now."""
        self._db.write(RELEASE_DESTINATION, {"destination": destination, "waiting_on": waiting_on.value})

    def waiting_destinations(self) -> list[tuple[str, WaitReason, int]]:
        """Return each destination that jobs wait for, why, and the bytes that the smallest of them still needs."""
        rows = self._db.read(WAITING_DESTINATIONS)
        return [(str(name), WaitReason(str(why)), _int(need or 0)) for name, why, need in rows]

    def next_due_at(self) -> datetime | None:
        """Return when the earliest delayed job becomes due."""
        at = self._db.read(NEXT_DUE_AT)[0][0]
        return None if at is None else from_text(str(at))

    def retry(self, job_id: int) -> bool:
        """Queue a failed job again with fresh budgets; False when it is not failed."""
        with self._db.transaction() as transaction:
            return transaction.change(RETRY, {"job": job_id}) == 1

    def cancel(self, job_id: int) -> None:
        """Cancel an unfinished or failed job; a running copy of it stops within a second.

        Raises:
            StoreError: its state forbids it; the message says what it may become.
        """
        self._db.write(CANCEL, {"job": job_id})

    def state_of(self, job_id: int) -> JobState | None:
        """Return the job's state, or None when there is no such job."""
        rows = self._db.read(STATE_OF, {"job": job_id})
        return JobState(str(rows[0][0])) if rows else None


def enqueue_in(transaction: Transaction, job: NewJob, now: datetime) -> Enqueued:
    """Make `job` part of an open transaction."""
    rows = transaction.run(ENQUEUE, _enqueue_params(job, now))
    if rows:
        return Enqueued(_int(rows[0][0]), created=True)
    found = transaction.run(FIND_UNFINISHED, {"run_path": path_to_sql(job.run_path), "destination": job.destination})
    return Enqueued(_int(found[0][0]), created=False)


def _claim_in(transaction: Transaction, launch_id: int, now: datetime) -> ClaimedJob | None:
    text = to_text(now)
    transaction.run(PROMOTE_DUE, {"now": text})
    rows = transaction.run(CLAIM, {"launch": launch_id, "claim": secrets.token_hex(8), "now": text})
    return _claimed(rows[0]) if rows else None


def _claimed(row: Row) -> ClaimedJob:
    job_id, run_path, destination, equipment_id, claim_id, attempts, error_kind, enqueued_at = row
    assert isinstance(run_path, str | bytes)
    return ClaimedJob(
        job_id=_int(job_id),
        claim_id=str(claim_id),
        run_path=path_from_sql(run_path),
        destination=str(destination),
        equipment_id=None if equipment_id is None else str(equipment_id),
        history=AttemptHistory(
            attempts=_int(attempts),
            last_error=None if error_kind is None else ErrorKind(str(error_kind)),
            enqueued_at=from_text(str(enqueued_at)),
        ),
    )


def _enqueue_params(job: NewJob, now: datetime) -> dict[str, Value]:
    return {
        "run_path": path_to_sql(job.run_path),
        "destination": job.destination,
        "equipment_id": job.equipment_id,
        "session_id": job.session_id,
        "priority": job.priority,
        "now": to_text(now),
    }


def _finish_params(job: ClaimedJob, decision: Decision, now: datetime) -> dict[str, Value]:
    text = to_text(now)
    verified = decision.state is JobState.VERIFIED
    return {
        "job": job.job_id,
        "claim": job.claim_id,
        "to_state": decision.state.value,
        "reason": decision.state_reason,
        "given_back": int(decision.attempt_given_back),
        "interrupted": int(decision.interrupted),
        "not_before": None if decision.not_before is None else to_text(decision.not_before),
        "waiting_on": None if decision.waiting_on is None else decision.waiting_on.value,
        "error_kind": None if decision.error_kind is None else decision.error_kind.value,
        "error_detail": decision.error_detail,
        "finished_at": text if verified or decision.state is JobState.FAILED else None,
        "verified_at": text if verified else None,
        "passes": int(verified),
    }


def _int(value: Value) -> int:
    assert isinstance(value, int)
    return value

"""Sync jobs: enqueue, claim, finish, hold, release, retry, cancel. Each call is durable when it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from exlab_wizard.crash_points import Point, reached
from exlab_wizard.domain.clock import UnreadableTime, to_text
from exlab_wizard.domain.job import DESTINATION_WAITS, TARGETS, JobState, OperatorMove, WaitReason, refusal
from exlab_wizard.domain.outcome import Decision
from exlab_wizard.errors import MoveRefusedError, NoSuchJobError, RuleError
from exlab_wizard.store import figures
from exlab_wizard.store.queue.claims import (
    ALL_SENT,
    CLAIMS_OF_LAUNCH,
    DUE_NOW,
    GIVEN_BACK,
    PROMOTE_DUE,
    REQUEUE_CLAIM,
    STILL_CLAIMED,
    ClaimedJob,
    finish_in,
    take_in,
)
from exlab_wizard.store.sqlite.database import Queries, Transaction
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import Value, moment, path_to_sql, whole
from exlab_wizard.store.tables import IS_DELAYED, IS_DUE, IS_IN_FLIGHT, IS_UNFINISHED, IS_WAITING, ONE, state, sync_jobs

_job = sync_jobs.c
_b = sa.bindparam

ENQUEUE: Final = Statement(
    sqlite.insert(sync_jobs)
    .values({name: _b(name) for name in ("run_path", "destination", "equipment_id", "session_id", "priority")})
    .values(enqueued_at=_b("now"))
    .on_conflict_do_nothing(index_elements=[_job.run_path, _job.destination], index_where=IS_UNFINISHED)
    .returning(_job.id)
)
FIND_UNFINISHED: Final = Statement(
    sa.select(_job.id).where(_job.run_path == _b("run_path"), _job.destination == _b("destination"), IS_UNFINISHED)
)

HOLD_DESTINATION: Final = Statement(
    sa.update(sync_jobs)
    .where(IS_DUE, _job.destination == _b("destination"))
    .values(not_before=_b("not_before"), waiting_on=_b("waiting_on"))
)
RELEASE_DESTINATION: Final = Statement(
    sa.update(sync_jobs)
    .where(IS_WAITING, _job.destination == _b("destination"), _job.waiting_on == _b("waiting_on"))
    .values(DUE_NOW)
)
WAITING_DESTINATIONS: Final = Statement(
    figures.waiting(figures.LEAST_LEFT).where(
        _job.waiting_on.in_([sa.literal_column(f"'{reason}'") for reason in DESTINATION_WAITS])
    )
)
INTERRUPT_LAUNCH: Final = Statement(
    sa.update(sync_jobs)
    .where(IS_IN_FLIGHT, _job.launch_id == _b("launch"))
    .values(
        state=state(JobState.RESUMABLE),
        state_reason=_b("reason"),
        claim_id=sa.null(),
        attempts=GIVEN_BACK,
        interruptions=_job.interruptions + ONE,
    )
)
MOVE_DELAYS: Final = Statement(
    sa.update(sync_jobs)
    .where(IS_DELAYED)
    .values(not_before=sa.text("strftime('%Y-%m-%dT%H:%M:%fZ', sync_jobs.not_before, :step)"))
)
NEXT_DUE_AT: Final = Statement(sa.select(sa.func.min(_job.not_before)).where(IS_DELAYED))
RETRY: Final = Statement(
    sa.update(sync_jobs)
    .where(_job.id == _b("job"))
    .values(state=state(JobState.QUEUED), state_reason=sa.literal_column("'retried by an operator'"))
)
CANCEL: Final = Statement(
    sa.update(sync_jobs)
    .where(_job.id == _b("job"))
    .values(state=state(JobState.CANCELLED), state_reason=sa.literal_column("'cancelled by an operator'"))
)
STATE_OF: Final = Statement(sa.select(_job.state).where(_job.id == _b("job")))
NEWEST: Final = Statement(sa.select(figures.NEWEST_JOB))


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


class Jobs(Queries):
    """The table `sync_jobs`."""

    def enqueue(self, job: NewJob, now: datetime) -> Enqueued:
        """Make `job` durable; a run that is pending for that destination already is found, not doubled.

        Raises:
            StoreError: it is not queued, or in a file that no other program sees.
        """
        self._db.require_in_place()
        reached(Point.ENQUEUE_BEFORE_COMMIT)
        rows = self._db.write(ENQUEUE, _params(job, now))
        if rows:
            reached(Point.ENQUEUE_AFTER_COMMIT)
            return Enqueued(whole(rows[0][0]), created=True)
        return self.enqueue_all([job], now)[0]

    def enqueue_all(self, jobs: Sequence[NewJob], now: datetime) -> list[Enqueued]:
        """Make all `jobs` durable together, or none; each that is already pending is found, not doubled."""
        with self._db.transaction() as transaction:
            queued = [enqueue_in(transaction, job, now) for job in jobs]
            reached(Point.ENQUEUE_BEFORE_COMMIT)
        reached(Point.ENQUEUE_AFTER_COMMIT)
        return queued

    def claim(self, launch_id: int, now: datetime) -> ClaimedJob | None:
        """Take the next due job for this launch; None when there is none or the launch is draining.

        Raises:
            StoreError: the database cannot be written, or is not the file that others see.
        """
        self._db.require_in_place()
        with self._db.transaction() as transaction:
            transaction.change(PROMOTE_DUE, {"now": to_text(now)})
            job = take_in(transaction, launch_id, now)
        if job is not None:
            reached(Point.CLAIM_AFTER_COMMIT)
        return job

    def finish(self, job: ClaimedJob, decision: Decision, now: datetime) -> bool:
        """Move the job to where `decision` says; False when the claim is lost, and then nothing was written."""
        with self._db.transaction() as transaction:
            finished = finish_in(transaction, job, decision, now)
        reached(Point.FINISH_AFTER_COMMIT)
        return finished

    def finish_and_claim(
        self, job: ClaimedJob, decision: Decision, launch_id: int, now: datetime
    ) -> tuple[bool, ClaimedJob | None]:
        """Finish one job and take the next in one transaction: one fsync instead of two.

        A delayed job that is due is found only after `claim` or `promote`.
        """
        with self._db.transaction() as transaction:
            finished = finish_in(transaction, job, decision, now)
            following = take_in(transaction, launch_id, now) if self._db.in_place() else None
        reached(Point.FINISH_AFTER_COMMIT)
        if following is not None:
            reached(Point.CLAIM_AFTER_COMMIT)
        return finished, following

    def all_sent(self, job_id: int, claim_id: str) -> bool:
        """Move a running job to verifying; False when the claim is lost."""
        return self._db.change(ALL_SENT, {"job": job_id, "claim": claim_id}) == 1

    def still_claimed(self, job_id: int, claim_id: str) -> bool:
        """Return whether the claim still holds."""
        return bool(self._db.read(STILL_CLAIMED, {"job": job_id, "claim": claim_id}))

    def claims(self, launch_id: int) -> list[tuple[int, str]]:
        """Return job and claim of everything that this launch has in flight."""
        rows = self._db.read(CLAIMS_OF_LAUNCH, {"launch": launch_id})
        return [(whole(job), str(claim)) for job, claim in rows]

    def requeue_claim(self, job_id: int, claim_id: str) -> bool:
        """Queue a job again whose claim no worker has, and give the attempt back; False when the claim is gone."""
        return self._db.change(REQUEUE_CLAIM, {"job": job_id, "claim": claim_id}) == 1

    def interrupt_launch(self, launch_id: int, reason: str) -> int:
        """Mark everything this launch has in flight as resumable, attempts given back; returns how many rows."""
        return self._db.change(INTERRUPT_LAUNCH, {"launch": launch_id, "reason": reason})

    def hold(self, destination: str, waiting_on: WaitReason, until: datetime) -> None:
        """Let the due jobs of an unavailable destination wait, too, instead of failing one by one."""
        waiting: dict[str, Value] = {"waiting_on": waiting_on, "not_before": to_text(until)}
        self._db.write(HOLD_DESTINATION, {"destination": destination, **waiting})

    def release(self, destination: str, waiting_on: WaitReason) -> None:
        """Make the jobs that wait for `destination` due now."""
        self._db.write(RELEASE_DESTINATION, {"destination": destination, "waiting_on": waiting_on})

    def waiting_destinations(self) -> list[tuple[str, WaitReason, int]]:
        """Return each destination that jobs wait for, why, and the bytes that the smallest of them still needs."""
        rows = self._db.read(WAITING_DESTINATIONS)
        return [(str(name), WaitReason(str(why)), whole(need or 0)) for name, why, _, need in rows]

    def promote(self, now: datetime) -> bool:
        """Make delayed jobs due whose time has come; True when there were any."""
        due = self.next_due_at()
        if due is None or due > now:
            return False
        return self._db.change(PROMOTE_DUE, {"now": to_text(now)}) > 0

    def next_due_at(self) -> datetime | None:
        """Return when the earliest delayed job becomes due; None for a time that cannot be read, too."""
        at = self._db.read(NEXT_DUE_AT)[0][0]
        due = None if at is None else moment(at)
        return None if isinstance(due, UnreadableTime) else due

    def decide(self, ids: Sequence[int], move: OperatorMove, *, repeated: bool = False) -> dict[int, JobState]:
        """Make the move on all jobs, or on none; return the state that each was in.

        A cancelled job may be cancelled again, and stays as it is; with `repeated` a queued one may be retried again.

        Raises:
            MoveRefusedError: the state of a job forbids the move, or another job for the same run is pending.
            NoSuchJobError: a job does not exist.
        """
        was: dict[int, JobState] = {}
        try:
            with self._db.transaction() as transaction:
                for job_id in ids:
                    rows = transaction.run(STATE_OF, {"job": job_id})
                    if not rows:
                        raise NoSuchJobError(job_id)
                    found = was[job_id] = JobState(str(rows[0][0]))
                    if found is TARGETS[move] and (repeated or move is OperatorMove.CANCEL):
                        continue
                    if reason := refusal(job_id, found, move):
                        raise MoveRefusedError(found, reason)
                    transaction.change(CANCEL if move is OperatorMove.CANCEL else RETRY, {"job": job_id})
        except RuleError as error:
            if move is not OperatorMove.RETRY:
                raise
            # The states allow it, so this is the index: one unfinished job for each run and destination.
            msg = "another job for the same run and destination is already pending; nothing was changed"
            raise MoveRefusedError(JobState.FAILED, msg) from error
        return was

    def state_of(self, job_id: int) -> JobState | None:
        """Return the job's state, or None when there is no such job."""
        rows = self._db.read(STATE_OF, {"job": job_id})
        return JobState(str(rows[0][0])) if rows else None

    def is_unwanted(self, job_id: int) -> bool:
        """Return whether the job is cancelled, or was deleted; a job newer than all known ones is not judged.

        A database restored from a backup does not know the newest jobs.
        """
        state = self.state_of(job_id)
        if state is not None:
            return state is JobState.CANCELLED
        return job_id < whole(self._db.read(NEWEST)[0][0])


def enqueue_in(transaction: Transaction, job: NewJob, now: datetime) -> Enqueued:
    """Make `job` part of an open transaction."""
    params = _params(job, now)
    if rows := transaction.run(ENQUEUE, params):
        return Enqueued(whole(rows[0][0]), created=True)
    return Enqueued(whole(transaction.run(FIND_UNFINISHED, params)[0][0]), created=False)


def _params(job: NewJob, now: datetime) -> dict[str, Value]:
    return {**asdict(job), "run_path": path_to_sql(job.run_path), "now": to_text(now)}

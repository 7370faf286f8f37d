"""Claims: a worker's right to one job, from the claim to the row's next state.

A claim is one statement, and every later write of its worker is a compare-and-set on `claim_id`: zero rows mean that
the job was cancelled, requeued or taken over, and the worker stops. The verbs work inside an open transaction.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from exlab_wizard.crash_points import Point, reached
from exlab_wizard.domain.clock import to_text
from exlab_wizard.domain.job import ErrorKind, JobState
from exlab_wizard.domain.outcome import SUSPECT_AFTER_CRASHES, AttemptHistory, Decision
from exlab_wizard.store.sqlite.database import Transaction
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import Value, moment, path_from_sql, text, whole
from exlab_wizard.store.tables import IS_DELAYED, IS_DUE, IS_IN_FLIGHT, ONE, ZERO, launches, state, sync_jobs

_job = sync_jobs.c
_b = sa.bindparam

GIVEN_BACK: Final = sa.func.max(_job.attempts - ONE, ZERO)
DUE_NOW: Final = {"not_before": sa.null(), "waiting_on": sa.null()}

_suspect_in_flight = (
    sa.select(ONE)
    .select_from(sync_jobs.alias("other"))
    .where(sa.text("(other.state = 'running' OR other.state = 'verifying')"))
    .where(sa.text(f"other.crashes >= {SUSPECT_AFTER_CRASHES}"))
    .exists()
)
_next_due = (
    sa.select(_job.id)
    .where(IS_DUE, sa.or_(_job.crashes < sa.literal_column(str(SUSPECT_AFTER_CRASHES)), sa.not_(_suspect_in_flight)))
    .order_by(_job.priority.desc(), _job.id)
    .limit(ONE)
    .scalar_subquery()
    .correlate(None)
)
_gate_open = (
    sa.select(ONE)
    .where(
        launches.c.id == _b("launch"),
        launches.c.draining_since.is_(None),
        launches.c.paused_since.is_(None),
        launches.c.ended_at.is_(None),
    )
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
        attempts=_job.attempts + ONE,
        waiting_on=sa.null(),
        bytes_resumed=ZERO,
    )
    .returning(_job.id, _job.claim_id, _job.run_path, _job.destination, _job.equipment_id)
    .returning(_job.attempts, _job.error_kind, _job.enqueued_at)
)
PROMOTE_DUE: Final = Statement(sa.update(sync_jobs).where(IS_DELAYED, _job.not_before <= _b("now")).values(DUE_NOW))

_ours = sa.and_(_job.id == _b("job"), _job.claim_id == _b("claim"), IS_IN_FLIGHT)
_claimed = sa.update(sync_jobs).where(_ours)
FINISH: Final = Statement(
    _claimed.values(
        {name: _b(name) for name in ("not_before", "waiting_on", "error_kind", "error_detail", "finished_at")}
    ).values(
        state=_b("to_state"),
        state_reason=_b("reason"),
        attempts=_job.attempts - _b("given_back"),
        interruptions=_job.interruptions + _b("interrupted"),
        claim_id=sa.null(),
        verified_at=sa.func.coalesce(_b("verified_at"), _job.verified_at),
        verify_passes=_job.verify_passes + _b("passes"),
    )
)
ALL_SENT: Final = Statement(
    _claimed.values(state=state(JobState.VERIFYING), state_reason=sa.literal_column("'all bytes sent'"))
)
STILL_CLAIMED: Final = Statement(sa.select(ONE).where(_ours))
CLAIMS_OF_LAUNCH: Final = Statement(
    sa.select(_job.id, _job.claim_id).where(IS_IN_FLIGHT, _job.launch_id == _b("launch"))
)
REQUEUE_CLAIM: Final = Statement(
    _claimed.values(
        state=state(JobState.QUEUED),
        state_reason=sa.literal_column("'no worker held its claim'"),
        claim_id=sa.null(),
        attempts=GIVEN_BACK,
    )
)


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that belongs to a worker until its `claim_id` is gone from the row."""

    job_id: int
    claim_id: str
    run_path: str
    destination: str
    equipment_id: str | None
    history: AttemptHistory


def take_in(transaction: Transaction, launch_id: int, now: datetime) -> ClaimedJob | None:
    """Take the next due job for this launch; None when there is none or the launch is draining."""
    rows = transaction.run(CLAIM, {"launch": launch_id, "claim": secrets.token_hex(8), "now": to_text(now)})
    if not rows:
        return None
    reached(Point.CLAIM_BEFORE_COMMIT)
    job_id, claim_id, run_path, destination, equipment_id, attempts, error_kind, enqueued_at = rows[0]
    last_error = None if error_kind is None else ErrorKind(str(error_kind))
    history = AttemptHistory(whole(attempts), last_error, moment(enqueued_at))
    run = (path_from_sql(run_path), str(destination), text(equipment_id))
    return ClaimedJob(whole(job_id), str(claim_id), *run, history)


def finish_in(transaction: Transaction, job: ClaimedJob, decision: Decision, now: datetime) -> bool:
    """Move the job to where `decision` says; False when the claim is lost, and then nothing was written."""
    at = to_text(now)
    verified = decision.state is JobState.VERIFIED
    params: dict[str, Value] = {
        "job": job.job_id,
        "claim": job.claim_id,
        "to_state": decision.state,
        "reason": decision.state_reason,
        "given_back": int(decision.attempt_given_back),
        "interrupted": int(decision.interrupted),
        "not_before": None if decision.not_before is None else to_text(decision.not_before),
        "waiting_on": decision.waiting_on,
        "error_kind": decision.error_kind,
        "error_detail": decision.error_detail,
        "finished_at": at if verified or decision.state is JobState.FAILED else None,
        "verified_at": at if verified else None,
        "passes": int(verified),
    }
    finished = transaction.change(FINISH, params) == 1
    reached(Point.FINISH_BEFORE_COMMIT)
    return finished

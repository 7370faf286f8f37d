"""The outcome of an attempt, and the decision that follows from it.

An attempt returns one of the `Outcome` values; `decide_next` turns it into the row's next state. Three budgets never
mix: failures use attempts, interruptions give them back without limit, recovery counts crashes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from exlab_wizard.domain.job import ErrorKind, JobState, WaitReason

RETRY_DELAYS_SECONDS: Final = (30, 120, 480, 1800, 7200)
LONGEST_WAIT: Final = timedelta(days=1, seconds=max(RETRY_DELAYS_SECONDS))
"""No delay is longer, even by a clock that is a day off: a longer one was set by a wrong clock."""
CRASH_LIMIT: Final = 3
SUSPECT_AFTER_CRASHES: Final = 2
OFFLINE_RECHECK_SECONDS: Final = 600
FULL_RECHECK_SECONDS: Final = 60
SOURCE_RECHECK_MAX_SECONDS: Final = 60
PAUSED: Final = "paused"
"""The reason for which a pause stops a transfer."""

_RETRIED: Final = frozenset({ErrorKind.NETWORK, ErrorKind.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Completed:
    """Read back, equal, and published at `final_path`."""

    final_path: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt ended with an error; `detail` names the thing and the remedy."""

    kind: ErrorKind
    detail: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """The attempt is given back and the job waits for `reason` to pass."""

    reason: WaitReason
    detail: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A quit or a pause stopped the transfer; the bytes sent so far stay."""

    reason: str


@dataclass(frozen=True, slots=True)
class Superseded:
    """The claim is no longer ours (cancelled, requeued, taken over): nothing may be written."""


Outcome = Completed | Failed | Deferred | Interrupted | Superseded


@dataclass(frozen=True, slots=True)
class AttemptHistory:
    """The row's history when it was claimed; `attempts` includes the one that just ended."""

    attempts: int
    last_error: ErrorKind | None
    enqueued_at: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """The row's next state and the columns written with it."""

    state: JobState
    state_reason: str
    attempt_given_back: bool = False
    interrupted: bool = False
    not_before: datetime | None = None
    waiting_on: WaitReason | None = None
    error_kind: ErrorKind | None = None
    error_detail: str | None = None


def decide_next(history: AttemptHistory, outcome: Outcome, now: datetime, *, settle_s: float) -> Decision | None:
    """Return what happens to the job, or None when the claim is lost and nothing may be written."""
    match outcome:
        case Completed():
            return Decision(JobState.VERIFIED, "read back and published")
        case Interrupted(reason) if reason == PAUSED:
            # Queued at once: a pause ends within this launch, and ending it does not require knowing what it cut off.
            return Decision(JobState.QUEUED, PAUSED, attempt_given_back=True)
        case Interrupted(reason):
            return Decision(JobState.RESUMABLE, reason, attempt_given_back=True, interrupted=True)
        case Deferred(reason, detail):
            return Decision(
                JobState.QUEUED,
                f"waits: {reason}",
                attempt_given_back=True,
                not_before=now + _recheck_after(reason, history, now, settle_s),
                waiting_on=reason,
                error_detail=detail,
            )
        case Failed(kind, detail):
            return _after_failure(history, kind, detail, now)
        case Superseded():
            return None


def _after_failure(history: AttemptHistory, kind: ErrorKind, detail: str, now: datetime) -> Decision:
    delay: int | None = None
    if kind in _RETRIED and history.attempts <= len(RETRY_DELAYS_SECONDS):
        delay = RETRY_DELAYS_SECONDS[max(history.attempts, 1) - 1]
    elif kind is ErrorKind.HASH_MISMATCH and history.last_error is not ErrorKind.HASH_MISMATCH:
        delay = 0
    if delay is None:
        return Decision(JobState.FAILED, f"failed: {kind}", error_kind=kind, error_detail=detail)
    return Decision(
        JobState.QUEUED,
        f"tried again: {kind}",
        not_before=now + timedelta(seconds=delay) if delay else None,
        error_kind=kind,
        error_detail=detail,
    )


def _recheck_after(reason: WaitReason, history: AttemptHistory, now: datetime, settle_s: float) -> timedelta:
    """A probe ends the wait for a destination earlier; a source that keeps changing is checked less often."""
    match reason:
        case WaitReason.DESTINATION_OFFLINE:
            return timedelta(seconds=OFFLINE_RECHECK_SECONDS)
        case WaitReason.DESTINATION_FULL | WaitReason.EARLIER_ATTEMPT:
            return timedelta(seconds=FULL_RECHECK_SECONDS)
        case WaitReason.SOURCE_CHANGING:
            waited = max(0.0, (now - history.enqueued_at).total_seconds())
            return timedelta(seconds=max(settle_s, 0.5, min(SOURCE_RECHECK_MAX_SECONDS, waited / 10)))

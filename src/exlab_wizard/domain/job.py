"""The states of a sync job, the legal moves between them, and why a job waits or fails.

    queued ──claim──▶ running ──all bytes sent──▶ verifying ──hashes match──▶ verified ──interlocks──▶ cleaned
      ▲  ▲              │  │                        │  │
      │  └─retry later──┘  └──────force quit / crash┴──┼──▶ resumable ──next launch──▶ queued
      │                 └────────── permanent ─────────┴──▶ failed ──operator retry──▶ queued
      └ queued | resumable | failed | running | verifying ──operator──▶ cancelled

`TRANSITIONS` is the same list as the table `job_transitions` and the triggers of the database; a test compares them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class JobState(StrEnum):
    """The state of a sync job."""

    QUEUED = "queued"
    """Waits for a worker, for `not_before`, or for the reason in `waiting_on`."""
    RUNNING = "running"
    """A worker holds the claim and sends bytes."""
    VERIFYING = "verifying"
    """All bytes are sent and durable; the rest is being read back, then the run is published."""
    VERIFIED = "verified"
    """Every byte was read back, matched, and is at its final path."""
    CLEANED = "cleaned"
    """Verified, and the local copy was removed after the safety checks."""
    RESUMABLE = "resumable"
    """Was in flight when the application ended; the next launch queues it and resumes where it stopped."""
    FAILED = "failed"
    """Waits for an operator to retry or cancel it."""
    CANCELLED = "cancelled"
    """An operator cancelled it."""


class WaitReason(StrEnum):
    """What a queued job waits for; waiting does not count as an attempt, and the job resumes automatically."""

    DESTINATION_OFFLINE = "destination_offline"
    DESTINATION_FULL = "destination_full"
    SOURCE_CHANGING = "source_changing"
    EARLIER_ATTEMPT = "earlier_attempt"
    """An earlier attempt of this job is still stuck in the operating system."""


DESTINATION_WAITS: Final = (WaitReason.DESTINATION_OFFLINE, WaitReason.DESTINATION_FULL)
"""The reasons that lie with the destination: all of its jobs wait."""


class ErrorKind(StrEnum):
    """Why an attempt failed; the kind decides whether it is retried."""

    AUTH = "auth"
    CONFIG = "config"
    SOURCE_MISSING = "source_missing"
    CONFLICT = "conflict"
    NETWORK = "network"
    UNKNOWN = "unknown"
    HASH_MISMATCH = "hash_mismatch"
    CRASH_LOOP = "crash_loop"


IN_FLIGHT: Final = (JobState.RUNNING, JobState.VERIFYING)
UNFINISHED: Final = (JobState.QUEUED, JobState.RUNNING, JobState.VERIFYING, JobState.RESUMABLE)

TRANSITIONS: Final = {
    (JobState.QUEUED, JobState.RUNNING): "a worker claimed it",
    (JobState.QUEUED, JobState.CANCELLED): "cancelled by an operator",
    (JobState.RUNNING, JobState.VERIFYING): "all bytes are sent",
    (JobState.RUNNING, JobState.QUEUED): "tried again later",
    (JobState.RUNNING, JobState.RESUMABLE): "cut off by a quit or a crash",
    (JobState.RUNNING, JobState.FAILED): "an error that trying again does not mend",
    (JobState.RUNNING, JobState.CANCELLED): "cancelled by an operator",
    (JobState.VERIFYING, JobState.VERIFIED): "read back, equal, published",
    (JobState.VERIFYING, JobState.QUEUED): "tried again later",
    (JobState.VERIFYING, JobState.RESUMABLE): "cut off by a quit or a crash",
    (JobState.VERIFYING, JobState.FAILED): "an error that trying again does not mend",
    (JobState.VERIFYING, JobState.CANCELLED): "cancelled by an operator",
    (JobState.RESUMABLE, JobState.QUEUED): "the next launch goes on with it",
    (JobState.RESUMABLE, JobState.CANCELLED): "cancelled by an operator",
    (JobState.FAILED, JobState.QUEUED): "an operator retries it",
    (JobState.FAILED, JobState.CANCELLED): "cancelled by an operator",
    (JobState.VERIFIED, JobState.CLEANED): "the local copy was removed",
}
"""The legal moves from a state to another, and what each means."""


def legal_moves(state: JobState) -> tuple[JobState, ...]:
    """Return the states that a job in `state` may move to, in the order of the diagram."""
    return tuple(target for source, target in TRANSITIONS if source is state)


class OperatorMove(StrEnum):
    """What an operator may decide about a job, whether at the command line, over the API or on the page."""

    RETRY = "retry"
    CANCEL = "cancel"


TARGETS: Final = {OperatorMove.RETRY: JobState.QUEUED, OperatorMove.CANCEL: JobState.CANCELLED}
_PAST: Final = {OperatorMove.RETRY: "retried", OperatorMove.CANCEL: "cancelled"}


def operator_moves(state: JobState) -> tuple[OperatorMove, ...]:
    """Return what an operator may decide about a job in `state`; of the moves to `queued` only that from `failed`."""
    retry = (OperatorMove.RETRY,) if state is JobState.FAILED else ()
    return (*retry, OperatorMove.CANCEL) if JobState.CANCELLED in legal_moves(state) else retry


def refusal(job_id: int, state: JobState, move: OperatorMove) -> str | None:
    """Return why the move is refused and what is possible, without the last full stop; None where it is allowed."""
    moves = operator_moves(state)
    possible = f"possible: {' or '.join(moves)}" if moves else "no action is possible"
    refused = f"job {job_id} is {state} and cannot be {_PAST[move]}; {possible}. Nothing was changed"
    return None if move in moves else refused

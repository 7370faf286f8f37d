"""What happened to a job, move by move, in sentences for whoever looks after it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from exlab_wizard.domain.job import ErrorKind, JobState, WaitReason
from exlab_wizard.store.reports.rows import Record

_WAITS: Final = {
    f"waits: {reason}": sentence
    for reason, sentence in {
        WaitReason.DESTINATION_OFFLINE: "Waits: the destination is offline",
        WaitReason.DESTINATION_FULL: "Waits: the destination is full",
        WaitReason.SOURCE_CHANGING: "Waits: the run is still being written",
        WaitReason.EARLIER_ATTEMPT: "Waits: an earlier attempt still hangs in the operating system",
    }.items()
}
_REASONS: Final = _WAITS | {
    "enqueued": "Queued",
    "paused": "Stopped by a pause; it goes on at the byte",
    "retried by an operator": "Tried again, as somebody asked",
    "cancelled by an operator": "Cancelled, as somebody asked",
    "resumed by the next launch": "Queued again by the next start; it goes on at the byte",
    "no worker held its claim": "Queued again: nobody worked on it any more",
    "cut off by a quit": "Cut off by a quit; it goes on at the next start",
}
_CUT_OFF: Final = {
    "crashed": "Cut off: the program ended unexpectedly",
    "host_restarted": "Cut off: the computer went down",
    "forced": "Cut off by a forced quit",
    "drained": "Cut off by a quit",
}
_ENTERED: Final = {
    JobState.QUEUED: "Queued again",
    JobState.RUNNING: "Copying began",
    JobState.VERIFYING: "All bytes are sent; they are being read back",
    JobState.VERIFIED: "Verified: every byte was read back and matched, and the run is in its place",
    JobState.CLEANED: "The local copy was removed",
    JobState.RESUMABLE: "Cut off; it goes on at the next start",
    JobState.FAILED: "Failed",
    JobState.CANCELLED: "Cancelled",
}
REMEDIES: Final = {
    ErrorKind.AUTH: "Give the account that runs ExLab-Wizard the right to read or write there, then retry.",
    ErrorKind.CONFIG: "Correct what the sentence above names, then retry.",
    ErrorKind.SOURCE_MISSING: "Put the run's folder back, or cancel the job if the run is not wanted.",
    ErrorKind.CONFLICT: "Look which of the two is right, move the other away, then retry. Nothing was replaced.",
    ErrorKind.NETWORK: "Look after network and NAS, then retry.",
    ErrorKind.UNKNOWN: "Look into the log, mend the cause, then retry.",
    ErrorKind.HASH_MISMATCH: "The destination gave back other bytes than were sent: have its disks tested, then retry.",
    ErrorKind.CRASH_LOOP: "The program ended three times while it worked on this run. Look into the log, then retry.",
}
"""What to do about each kind of failure, where the error itself does not say it better."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the timeline; `sign` is the name of an icon."""

    number: int
    at: str
    sign: str
    words: str
    detail: str | None
    launch_id: int | None


STATES: Final = {
    JobState.QUEUED: "Waiting",
    JobState.RUNNING: "Sending",
    JobState.VERIFYING: "Reading back",
    JobState.VERIFIED: "Verified",
    JobState.CLEANED: "Verified, local copy removed",
    JobState.RESUMABLE: "Goes on at the next start",
    JobState.FAILED: "Failed",
    JobState.CANCELLED: "Cancelled",
}
"""What people call them."""
_TOWARDS: Final = {
    JobState.RUNNING: "to",
    JobState.VERIFYING: "from",
    JobState.VERIFIED: "on",
    JobState.CLEANED: "on",
}
_SIGNS: Final = {
    JobState.QUEUED: "wait",
    JobState.RUNNING: "send",
    JobState.VERIFYING: "check",
    JobState.VERIFIED: "ok",
    JobState.CLEANED: "ok",
    JobState.RESUMABLE: "pause",
    JobState.FAILED: "warn",
    JobState.CANCELLED: "off",
}


def state_word(state: object) -> str:
    """Return what people call a state."""
    return STATES[JobState(str(state))]


def state_towards(state: object) -> str:
    """Return the word between a state and its destination."""
    return _TOWARDS.get(JobState(str(state)), "for")


def state_sign(state: object) -> str:
    """Return the name of the icon beside it."""
    return _SIGNS[JobState(str(state))]


def waiting_words(reason: object) -> str:
    """Return what a job waits for, in words."""
    return _WAITS[f"waits: {WaitReason(str(reason))}"]


def step(event: Record) -> Step:
    """Return a move of a job in words; a reason that is not ours stands as it is written."""
    state, reason = JobState(str(event["to_state"])), str(event["reason"] or "")
    detail = None if event["detail"] is None else str(event["detail"])
    number, launch = event["id"], event["launch_id"]
    return Step(
        number if isinstance(number, int) else 0,
        str(event["at"]),
        _SIGNS[state],
        _words(state, reason),
        detail if state in (JobState.FAILED, JobState.QUEUED) else None,
        launch if isinstance(launch, int) else None,
    )


def _words(state: JobState, reason: str) -> str:
    entered = _ENTERED[state]
    if reason in _REASONS:
        return _REASONS[reason]
    if reason in _CUT_OFF:
        # Recovery writes how the launch ended at both steps: into resumable, and out of it.
        return _CUT_OFF[reason] if state is JobState.RESUMABLE else _REASONS["resumed by the next launch"]
    if reason.startswith("tried again: "):
        return "It did not work; it is tried again by itself"
    if reason == "changed with SQL":
        return f"{entered} (by hand, in the database)"
    ours = ("claimed", "all bytes sent", "read back and published", f"failed: {reason.removeprefix('failed: ')}", "")
    return entered if reason in ours else f"{entered}: {reason}"


def budget(job: Record) -> list[str]:
    """Return what the counters of a job say, in sentences; none where there is nothing to explain."""
    attempts, cut, crashes = (_number(job[name]) for name in ("attempts", "interruptions", "crashes"))
    told = []
    if attempts > 1:
        told.append(f"It was tried {attempts} times. A network error is tried again five times, then it needs you.")
    if cut:
        told.append(f"It was cut off {_times(cut)} by a quit, and went on where it was. That costs no attempt.")
    if crashes:
        told.append(
            f"The program ended unexpectedly {_times(crashes)} in a row while it worked on this run. Progress clears"
            " the count; after the third time the run waits for you, so that it cannot keep the others from arriving."
        )
    return told


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _number(value: str | float | None) -> int:
    return 0 if value is None else int(value)

"""What people read for a job's state and moves, what it waits for, how far it is and why it failed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from exlab_wizard.domain.files import FileState
from exlab_wizard.domain.job import ErrorKind, JobState, WaitReason
from exlab_wizard.domain.text.amounts import percent, size, times
from exlab_wizard.domain.text.quit import ENDINGS
from exlab_wizard.domain.views import Job, LeaseState

STATES: Final = {
    JobState.QUEUED: "waiting",
    JobState.RUNNING: "sending",
    JobState.VERIFYING: "reading back",
    JobState.VERIFIED: "verified",
    JobState.CLEANED: "verified, local copy removed",
    JobState.RESUMABLE: "resumes at the next launch",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}
SESSION_STATES: Final = {
    LeaseState.ACTIVE: "active",
    LeaseState.COMPLETED: "completed",
    LeaseState.ABORTED: "aborted",
    LeaseState.EXPIRED: "expired without a heartbeat",
}
FILE_STATES: Final = {FileState.PENDING: "not sent", FileState.COPIED: "sent", FileState.VERIFIED: "verified"}
PLACED: Final = {
    JobState.QUEUED: "waiting to sync to {destination}",
    JobState.RUNNING: "sending to {destination}",
    JobState.VERIFYING: "reading back from {destination}",
    JobState.VERIFIED: "verified on {destination}",
    JobState.CLEANED: "verified on {destination}, local copy removed",
    JobState.RESUMABLE: "sync to {destination} resumes at the next launch",
    JobState.FAILED: "failed to sync to {destination}",
    JobState.CANCELLED: "sync to {destination} cancelled",
}
"""The same with the destination."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What people read while a job waits."""

    word: str
    """After the name of the destination, where there is room for a word."""
    reason: str
    """A clause that does not name the destination."""
    begun: str
    """The beginning of a sentence that ends in `since 10:15` or `for 12 min`."""
    outlook: str
    """When it ends, and what to do until then."""
    remedy: str = ""
    """What to do, in a few words; empty for nothing."""


WAITS: Final = {
    WaitReason.DESTINATION_OFFLINE: Wait(
        "offline",
        "the destination is offline",
        "{destination} has been offline",
        "ExLab-Wizard keeps checking and resumes automatically.",
        "mount the share",
    ),
    WaitReason.DESTINATION_FULL: Wait(
        "full",
        "the destination is full",
        "{destination} has been full",
        "Free up space there; syncing resumes automatically.",
        "free up space there",
    ),
    WaitReason.SOURCE_CHANGING: Wait(
        "not ready",
        "the run is still being written",
        "The run has been changing",
        "Syncing starts when the instrument is done.",
    ),
    WaitReason.EARLIER_ATTEMPT: Wait(
        "not ready",
        "an earlier attempt is still stuck in the operating system",
        "An earlier attempt has been stuck in the operating system",
        "Syncing resumes automatically when it ends.",
    ),
}
ERRORS: Final[dict[str, str]] = {
    ErrorKind.AUTH: "permission denied",
    ErrorKind.CONFIG: "wrong configuration",
    ErrorKind.SOURCE_MISSING: "source missing",
    ErrorKind.CONFLICT: "conflict on the destination",
    ErrorKind.NETWORK: "network error",
    ErrorKind.UNKNOWN: "unexpected error",
    ErrorKind.HASH_MISMATCH: "hash mismatch",
    ErrorKind.CRASH_LOOP: "three crashes in a row",
}
REMEDIES: Final = {
    ErrorKind.AUTH: "Give the account that runs ExLab-Wizard permission to read and write there, then retry.",
    ErrorKind.CONFIG: "Fix the problem described above, then retry.",
    ErrorKind.SOURCE_MISSING: "Put the run's folder back, or cancel the job if the run is not needed.",
    ErrorKind.CONFLICT: "Decide which version is right, move the other one away, then retry. Nothing was overwritten.",
    ErrorKind.NETWORK: "Check the network and the NAS, then retry.",
    ErrorKind.UNKNOWN: "Check the log, fix the cause, then retry.",
    ErrorKind.HASH_MISMATCH: "The bytes read back differ from the bytes sent: have the NAS's disks tested, then retry.",
    ErrorKind.CRASH_LOOP: "The program crashed three times while it worked on this run. Check the log, then retry.",
}
"""What to do about each kind of failure, where the error itself gives no better advice."""
_REASONS: Final = {
    **{f"waits: {reason}": f"Waiting: {wait.reason}" for reason, wait in WAITS.items()},
    "enqueued": "Queued",
    "paused": "Interrupted by a pause; resumes where it stopped",
    "retried by an operator": "Retried by an operator",
    "cancelled by an operator": "Cancelled by an operator",
    "resumed by the next launch": "Queued again by the next launch; resumes where it stopped",
    "no worker held its claim": "Queued again: no worker was processing it",
    "cut off by a quit": "Interrupted by a quit; resumes at the next launch",
}
_INTERRUPTED: Final = {reason: f"Interrupted: ExLab-Wizard {ended}" for reason, ended in ENDINGS.items()}
_ENTERED: Final = {
    JobState.QUEUED: "Queued again",
    JobState.RUNNING: "Sending started",
    JobState.VERIFYING: "All bytes sent; reading them back",
    JobState.VERIFIED: "Verified: every byte was read back and matches; the run is published",
    JobState.CLEANED: "Local copy removed",
    JobState.RESUMABLE: "Interrupted; resumes at the next launch",
    JobState.FAILED: "Failed",
    JobState.CANCELLED: "Cancelled",
}
"""The words of each state that a job enters."""


def waiting(reason: str) -> str:
    """Return why a job waits and what to do, in one clause."""
    wait = WAITS[WaitReason(reason)]
    return f"{wait.reason}; {wait.remedy}" if wait.remedy else wait.reason


def percent_done(bytes_total: int, bytes_done: int, bytes_verified: int) -> float | None:
    """Return how far a job is, 0 to 100: sending is one half, reading back the other; None while unknown."""
    return min(100.0, 50 * (bytes_done + bytes_verified) / bytes_total) if bytes_total else None


def progress(bytes_total: int, bytes_done: int, bytes_verified: int) -> str:
    """Return `41% of 3.4 GiB`; empty while unknown."""
    share = percent_done(bytes_total, bytes_done, bytes_verified)
    return "" if share is None else f"{percent(share)} of {size(bytes_total)}"


def move(state: JobState, reason: str) -> str:
    """Return a move into `state` in words; a reason that an administrator wrote is kept as it is."""
    entered = _ENTERED[state]
    if reason in _REASONS:
        return _REASONS[reason]
    if reason in _INTERRUPTED:
        # Recovery writes how the launch ended at both steps: into resumable, and out of it.
        return _INTERRUPTED[reason] if state is JobState.RESUMABLE else _REASONS["resumed by the next launch"]
    if reason.startswith("tried again: "):
        return "The attempt failed and will be retried automatically"
    if reason == "changed with SQL":
        return f"{entered} (by SQL)"
    ours = ("claimed", "all bytes sent", "read back and published", f"failed: {reason.removeprefix('failed: ')}", "")
    return entered if reason in ours else f"{entered}: {reason}"


def budget(job: Job) -> list[str]:
    """Return what the counters of a job mean, in sentences; none where there is nothing to explain."""
    attempts, interruptions, crashes = job.attempts, job.interruptions, job.crashes
    told = []
    if attempts > 1:
        told.append(
            f"Attempted {times(attempts)}. After five retries, a network error fails the run; then it is up to you to"
            " retry."
        )
    if interruptions:
        told.append(
            f"Interrupted {times(interruptions)}, and resumed where it stopped. Interruptions do not count as attempts."
        )
    if crashes:
        repeated = f" {times(crashes)} in a row" if crashes > 1 else ""
        told.append(
            f"ExLab-Wizard ended unexpectedly{repeated} while it worked on this run. Progress resets this count. After"
            " the third time the run fails and waits for you, so that it does not block other runs."
        )
    return told

"""What people read for a job's state, what it waits for, how far it is and why it failed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from exlab_wizard.domain.files import FileState
from exlab_wizard.domain.job import ErrorKind, JobState, WaitReason
from exlab_wizard.domain.text.amounts import percent, size

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
        "Files of the run have kept changing",
        "Syncing starts when the instrument is done.",
    ),
    WaitReason.EARLIER_ATTEMPT: Wait(
        "not ready",
        "an earlier attempt still hangs in the operating system",
        "An earlier attempt has been hanging in the operating system",
        "Syncing resumes automatically when it ends.",
    ),
}
ERRORS: Final[dict[str, str]] = {
    ErrorKind.AUTH: "permission denied",
    ErrorKind.CONFIG: "wrong configuration",
    ErrorKind.SOURCE_MISSING: "source missing",
    ErrorKind.CONFLICT: "conflict at the destination",
    ErrorKind.NETWORK: "network error",
    ErrorKind.UNKNOWN: "unexpected error",
    ErrorKind.HASH_MISMATCH: "hash mismatch",
    ErrorKind.CRASH_LOOP: "three crashes in a row",
}
REMEDIES: Final = {
    ErrorKind.AUTH: "Give the account that runs ExLab-Wizard permission to read and write there, then retry.",
    ErrorKind.CONFIG: "Correct what the message above names, then retry.",
    ErrorKind.SOURCE_MISSING: "Put the run's folder back, or cancel the job if the run is not needed.",
    ErrorKind.CONFLICT: "Decide which of the two is right, move the other away, then retry. Nothing was replaced.",
    ErrorKind.NETWORK: "Check the network and the NAS, then retry.",
    ErrorKind.UNKNOWN: "Check the log, fix the cause, then retry.",
    ErrorKind.HASH_MISMATCH: "The bytes read back differ from the bytes sent: have the NAS's disks tested, then retry.",
    ErrorKind.CRASH_LOOP: "The program crashed three times while it worked on this run. Check the log, then retry.",
}
"""What to do about each kind of failure, where the error itself gives no better advice."""


def waiting(reason: str) -> str:
    """Return why a job waits and what to do, in one clause."""
    wait = WAITS[WaitReason(reason)]
    return f"{wait.reason}: {wait.remedy}" if wait.remedy else wait.reason


def percent_done(bytes_total: int, bytes_done: int, bytes_verified: int) -> float | None:
    """Return how far a job is, 0 to 100: sending is one half, reading back the other; None while unknown."""
    return min(100.0, 50 * (bytes_done + bytes_verified) / bytes_total) if bytes_total else None


def progress(bytes_total: int, bytes_done: int, bytes_verified: int) -> str:
    """Return `41% of 3.4 GiB`; empty while unknown."""
    share = percent_done(bytes_total, bytes_done, bytes_verified)
    return "" if share is None else f"{percent(share)} of {size(bytes_total)}"

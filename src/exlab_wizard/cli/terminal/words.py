"""Times, states and reasons in words for people, as the commands show them. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from exlab_wizard.domain.clock import from_text
from exlab_wizard.domain.job import WaitReason
from exlab_wizard.domain.quit import Blocker
from exlab_wizard.domain.text import duration, plural, size

__all__ = ["blocking", "duration", "moment", "number", "plural", "progress", "size", "standing", "waiting"]

Value = str | int | float | None

WAITING: Final = {
    WaitReason.DESTINATION_OFFLINE: "the destination is offline: mount the share",
    WaitReason.DESTINATION_FULL: "the destination is full: make room there",
    WaitReason.SOURCE_CHANGING: "the run is still being written",
    WaitReason.EARLIER_ATTEMPT: "an earlier attempt still hangs inside the operating system",
}


def moment(at: datetime | Value) -> str:
    """Return a time, also as the text of the database, as local time; empty for none."""
    known = from_text(at) if isinstance(at, str) else at
    return f"{known.astimezone():%Y-%m-%d %H:%M:%S}" if isinstance(known, datetime) else ""


def waiting(reason: Value) -> str:
    """Return why a job waits, in words."""
    return WAITING[WaitReason(str(reason))]


def number(value: Value) -> int:
    """Return a counter of a row; nothing counts as zero."""
    return value if isinstance(value, int) else 0


def progress(job: dict[str, Value]) -> str:
    """Return how far a job is: of its bytes half the way is sending, half is reading back."""
    total = number(job["bytes_total"])
    if job["state"] in ("verified", "cleaned"):
        return f"100 % of {size(total)}"
    if not total:
        return ""
    moved = number(job["bytes_done"]) + number(job["bytes_verified"])
    return f"{50 * moved / total:.0f} % of {size(total)}"


def standing(job: dict[str, Value]) -> str:
    """Return what is to be said about a job beside its state: what it waits for, or what went wrong."""
    if job["waiting_on"] is not None:
        return f"waits: {waiting(job['waiting_on'])}"
    if job["state"] == "queued" and job["not_before"] is not None:
        return f"tried again at {moment(job['not_before'])}: {job['error_detail'] or job['error_kind']}"
    if job["state"] == "failed":
        return f"{job['error_kind']}: {job['error_detail']}"
    if job["state"] == "resumable":
        return "goes on at the next launch"
    return ""


def blocking(blocker: Blocker) -> str:
    """Return one operation that holds back a quit, with how far it is."""
    parts = [] if blocker.percent is None else [f"{blocker.percent:.0f} %"]
    if blocker.bytes_left is not None:
        parts.append(f"{size(blocker.bytes_left)} left")
    if blocker.eta_s is not None:
        parts.append(f"{'about' if blocker.kind == 'job' else 'expires in'} {duration(blocker.eta_s)}")
    told = f": {', '.join(parts)}" if parts else ""
    return f"{blocker.kind} {blocker.id} {blocker.label}{told}"

"""Rows of the database in words, as the commands show them. Pure."""

from __future__ import annotations

from datetime import datetime

from exlab_wizard.domain.clock import from_text
from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.quit import Blocker
from exlab_wizard.domain.text import jobs
from exlab_wizard.domain.text import quit as quits

Value = str | int | float | None


def moment(at: datetime | Value) -> str:
    """Return a time, also as the text of the database, as local time; empty for none."""
    known = from_text(at) if isinstance(at, str) else at
    return f"{known.astimezone():%Y-%m-%d %H:%M:%S}" if isinstance(known, datetime) else ""


def number(value: Value) -> int:
    """Return a counter of a row; nothing counts as zero."""
    return value if isinstance(value, int) else 0


def progress(job: dict[str, Value]) -> str:
    """Return how far a job is; empty while unknown."""
    total = number(job["bytes_total"])
    done = (
        ("bytes_total", "bytes_total") if job["state"] in ("verified", "cleaned") else ("bytes_done", "bytes_verified")
    )
    return jobs.progress(total, *(number(job[name]) for name in done))


def standing(job: dict[str, Value]) -> str:
    """Return the details of a job's state: what it waits for, or what went wrong."""
    if job["waiting_on"] is not None:
        return f"waiting: {jobs.waiting(str(job['waiting_on']))}"
    if job["state"] == "queued" and job["not_before"] is not None:
        return f"next attempt at {moment(job['not_before'])}: {job['error_detail'] or job['error_kind']}"
    if job["state"] == "failed":
        return f"{job['error_kind']}: {job['error_detail']}"
    if job["state"] == "resumable":
        return jobs.STATES[JobState.RESUMABLE]
    return ""


def blocking(blocker: Blocker) -> str:
    """Return one operation that holds back a quit, with its id."""
    return f"{blocker.kind} {blocker.id} {quits.describe(blocker)}"

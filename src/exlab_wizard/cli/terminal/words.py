"""Rows of the database in words, as the commands show them. Pure."""

from __future__ import annotations

from datetime import datetime

from exlab_wizard.cli.terminal.output import Cell
from exlab_wizard.domain.clock import from_text, to_text
from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.quit import Blocker
from exlab_wizard.domain.text import jobs
from exlab_wizard.domain.text import quit as quits
from exlab_wizard.domain.text.amounts import percent, size
from exlab_wizard.domain.text.names import visible
from exlab_wizard.domain.views import Job


def moment(at: datetime | Cell) -> str:
    """Return a time, also as the text of the database, as local time; empty for none."""
    text = to_text(at) if isinstance(at, datetime) else at
    if not isinstance(text, str):
        return ""
    try:
        return f"{from_text(text).astimezone():%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError):  # typed with SQL
        return visible(text)


def progress(job: Job) -> str:
    """Return how far a job is; empty while unknown."""
    if job.state in (JobState.VERIFIED, JobState.CLEANED):
        return f"{percent(100)} of {size(job.bytes_total)}"
    return jobs.progress(job.bytes_total, job.bytes_done, job.bytes_verified)


def details(job: Job) -> str:
    """Return the details of a job's state: what it waits for, or what went wrong."""
    if job.waiting_on is not None:
        return jobs.waiting(job.waiting_on)
    kind = "" if job.error_kind is None else jobs.ERRORS[job.error_kind]
    if job.state is JobState.QUEUED and job.not_before is not None:
        return ": ".join(filter(None, (f"next attempt at {moment(job.not_before)}", job.error_detail or kind)))
    if job.state is JobState.FAILED:
        return ": ".join(filter(None, (kind, job.error_detail)))
    if job.state is JobState.RESUMABLE:
        return jobs.STATES[JobState.RESUMABLE]
    return ""


def standing(job: Job) -> str:
    """Return the word for a job's state, with its details."""
    word, more = jobs.STATES[job.state], details(job)
    return word if more in ("", word) else f"{word} ({more})"


def blocker_line(blocker: Blocker) -> str:
    """Return one operation that holds back a quit, with its id."""
    return f"{blocker.kind} {blocker.id} {quits.describe(blocker)}"

"""The figures that several reports show, each defined once: how many jobs are in flight, queued or failed, bytes left.

Each count names the predicate of a partial index, so that it costs what is pending, never history.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.tables import (
    IS_ACTIVE,
    IS_DELAYED,
    IS_DUE,
    IS_FAILED,
    IS_IN_FLIGHT,
    IS_RESUMABLE,
    IS_UNFINISHED,
    IS_WAITING,
    ZERO,
    job_events,
    session_leases,
    sync_jobs,
)

_job = sync_jobs.c


def _count(table: sa.Table, *conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.count()).select_from(table).where(*conditions).correlate(None).scalar_subquery()


def _newest(number: sa.ColumnElement[int]) -> sa.ScalarSelect[int]:
    newest: sa.ColumnElement[int] = sa.func.coalesce(sa.func.max(number), ZERO)
    return sa.select(newest).correlate(None).scalar_subquery()


ACTIVE_SESSIONS: Final = _count(session_leases, IS_ACTIVE, session_leases.c.expires_at > sa.bindparam("now"))
IN_FLIGHT: Final = _count(sync_jobs, IS_IN_FLIGHT)
QUEUED: Final = _count(sync_jobs, IS_DUE) + _count(sync_jobs, IS_DELAYED)
RESUMABLE: Final = _count(sync_jobs, IS_RESUMABLE)
FAILED: Final = _count(sync_jobs, IS_FAILED)
NEWEST_EVENT: Final = _newest(job_events.c.id)
NEWEST_JOB: Final = _newest(_job.id)

BYTES_LEFT: Final[sa.ColumnElement[int]] = sa.func.max(_job.bytes_total - _job.bytes_done, ZERO)
"""Bytes of one job that are not on the destination yet, as far as its size is known."""

UNFINISHED: Final = Statement(
    sa.select(
        _job.state,
        _job.destination,
        sa.func.count().label("jobs"),
        sa.func.sum(BYTES_LEFT).label("bytes_left"),
        sa.func.min(_job.enqueued_at).label("oldest"),
    )
    .where(IS_UNFINISHED)
    .group_by(_job.state, _job.destination)
)
WAITING: Final = Statement(
    sa.select(_job.destination, _job.waiting_on, sa.func.count().label("jobs"))
    .where(IS_WAITING)
    .group_by(_job.destination, _job.waiting_on)
)

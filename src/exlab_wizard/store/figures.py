"""The figures that several reports show, each defined once: how many jobs are queued, waiting or failed, bytes left.

Each count names the predicate of a partial index, so that it costs what is pending, never history.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.tables import (
    IS_DELAYED,
    IS_DUE,
    IS_FAILED,
    IS_RESUMABLE,
    IS_UNFINISHED,
    IS_WAITING,
    ZERO,
    job_events,
    sync_jobs,
)

_job = sync_jobs.c


def _count(condition: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.count()).select_from(sync_jobs).where(condition).correlate(None).scalar_subquery()


def _newest(number: sa.ColumnElement[int]) -> sa.ScalarSelect[int]:
    newest: sa.ColumnElement[int] = sa.func.coalesce(sa.func.max(number), ZERO)
    return sa.select(newest).correlate(None).scalar_subquery()


QUEUED: Final = _count(IS_DUE) + _count(IS_DELAYED)
RESUMABLE: Final = _count(IS_RESUMABLE)
FAILED: Final = _count(IS_FAILED)
FAILED_BY_DESTINATION: Final = Statement(
    sa.select(_job.destination, sa.func.count()).where(IS_FAILED).group_by(_job.destination)
)
NEWEST_EVENT: Final = _newest(job_events.c.id)
NEWEST_JOB: Final = _newest(_job.id)

BYTES_LEFT: Final[sa.ColumnElement[int]] = sa.func.max(_job.bytes_total - _job.bytes_done, ZERO)
"""Bytes of one job that are not on the destination yet, as far as its size is known."""
LEAST_LEFT: Final = sa.func.min(BYTES_LEFT).filter(_job.bytes_total > ZERO)
"""Bytes that the smallest of several jobs still needs; NULL where no size is known."""

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


def waiting(*more: sa.sql.roles.ColumnsClauseRole) -> sa.Select[tuple[object, ...]]:
    """Return the query of how many jobs wait for what, and `more` of each such group."""
    what = (_job.destination, _job.waiting_on)
    return sa.select(*what, sa.func.count().label("jobs"), *more).where(IS_WAITING).group_by(*what)


WAITING: Final = Statement(waiting())

"""Rows for the command line and the page: jobs, a job's events and files, sessions, launches and quits.

The newest come first, a keyset page at a time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, TypeVar

import sqlalchemy as sa

from exlab_wizard.domain.codec import DecodeError, decode
from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.views import Job, JobEvent, LaunchRow, QuitRow, SessionPage, SessionRow
from exlab_wizard.errors import StoreError
from exlab_wizard.store.sqlite.database import Database, Queries
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import Value, path_to_sql, whole
from exlab_wizard.store.tables import session_leases, sync_files, sync_jobs

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_View = TypeVar("_View", bound="DataclassInstance")
_b = sa.bindparam
_file = sync_files.c
Record = dict[str, str | int | float | None]

JOB_COLUMNS: Final = [sync_jobs.c[field.name] for field in fields(Job)]
JOBS: Final = Statement(
    sa.select(*JOB_COLUMNS).where(sync_jobs.c.id < _b("before")).order_by(sync_jobs.c.id.desc()).limit(_b("limit"))
)
JOBS_IN_STATE: Final = Statement(
    sa.select(*JOB_COLUMNS)
    .where(sync_jobs.c.id < _b("before"), sync_jobs.c.state == _b("state"))
    .order_by(sync_jobs.c.id.desc())
    .limit(_b("limit"))
)
JOB: Final = Statement(sa.select(*JOB_COLUMNS).where(sync_jobs.c.id == _b("job")))
# Being queued is no move; the timeline begins with it all the same.
_EVENTS: Final = (
    "SELECT * FROM (SELECT 0 AS id, id AS job_id, enqueued_at AS at, NULL AS from_state, 'queued' AS to_state,"
    " 'enqueued' AS reason, NULL AS launch_id, NULL AS detail FROM sync_jobs WHERE id = :job"
    " UNION ALL SELECT id, job_id, at, from_state, to_state, reason, launch_id, detail"
    " FROM job_events WHERE job_id = :job AND id < :before) WHERE id < :before ORDER BY id"
)
EVENTS: Final = Statement(sa.text(f"{_EVENTS} LIMIT :limit"))
EVENTS_PAGE: Final = Statement(sa.text(f"{_EVENTS} DESC LIMIT :limit"))
# Rows are inserted in the order of opening, and none is ever deleted.
_OPENED: Final[sa.ColumnElement[int]] = sa.literal_column("session_leases.rowid").label("number")
SESSIONS_PAGE: Final = Statement(
    sa.select(_OPENED, *session_leases.c)
    .where(sa.literal_column("session_leases.rowid") < _b("before"))
    .order_by(sa.literal_column("session_leases.rowid").desc())
    .limit(_b("limit"))
)
SESSION: Final = Statement(sa.select(*session_leases.c).where(session_leases.c.id == _b("id")))
SESSIONS: Final = Statement(
    sa.select(*session_leases.c)
    .order_by((session_leases.c.state == "active").desc(), session_leases.c.opened_at.desc())
    .limit(_b("limit"))
)
FILES: Final = Statement(
    sa.select(_file.path, _file.size, _file.mtime_ns, _file.state, _file.bytes_done, _file.sha256)
    .where(_file.job_id == _b("job"), _file.path > _b("after"))
    .order_by(_file.path)
    .limit(_b("limit"))
)
LAUNCHES: Final = Statement(sa.text("SELECT * FROM launch_history ORDER BY id DESC LIMIT :limit"))
QUITS: Final = Statement(sa.text("SELECT * FROM quit_history ORDER BY id DESC LIMIT :limit"))
# What a person types to see the state of a job; the demo shows it.
ONE_JOB: Final = (
    "SELECT state, attempts, crashes, interruptions, bytes_done, bytes_total, bytes_resumed"
    " FROM sync_jobs WHERE id = {job_id}"
)
LAST_LAUNCH: Final = "SELECT ended FROM launch_history ORDER BY id DESC LIMIT 1"
JOB_STATES: Final = "SELECT state FROM sync_jobs ORDER BY id"
MAX_ID: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class FilePage:
    """Some files; `following` is the `after` of the next page, None on the last."""

    files: list[Record]
    following: str | None


class RowsReport(Queries):
    """Ordered, bounded reads for people."""

    def jobs(self, *, limit: int, before: int | None = None, in_state: JobState | None = None) -> list[Job]:
        """Return jobs below id `before`, newest first."""
        params: dict[str, Value] = {"before": MAX_ID if before is None else before, "limit": limit}
        if in_state is None:
            return views(self._db, Job, JOBS, params)
        return views(self._db, Job, JOBS_IN_STATE, {**params, "state": in_state.value})

    def job(self, job_id: int) -> Job | None:
        """Return one job, or None."""
        found = views(self._db, Job, JOB, {"job": job_id})
        return found[0] if found else None

    def events(self, job_id: int, *, limit: int = 10_000) -> list[JobEvent]:
        """Return a job's timeline, oldest first."""
        return views(self._db, JobEvent, EVENTS, {"job": job_id, "limit": limit, "before": MAX_ID})

    def events_page(self, job_id: int, *, limit: int, before: int | None = None) -> list[JobEvent]:
        """Return a job's moves below id `before`, newest first; the last of all is being queued, with id 0."""
        params: dict[str, Value] = {"job": job_id, "limit": limit, "before": MAX_ID if before is None else before}
        return views(self._db, JobEvent, EVENTS_PAGE, params)

    def files(self, job_id: int, *, limit: int, after: str = "") -> FilePage:
        """Return the files of a job behind the path `after`, which is in the form of `os.fsdecode`, by path."""
        found = records(self._db, FILES, {"job": job_id, "after": path_to_sql(after), "limit": limit + 1})
        following = str(found[limit - 1]["path"]) if len(found) > limit else None
        return FilePage(found[:limit], following)

    def session(self, lease_id: str) -> SessionRow | None:
        """Return one session, or None."""
        found = views(self._db, SessionRow, SESSION, {"id": lease_id})
        return found[0] if found else None

    def sessions_page(self, *, limit: int, before: int | None = None) -> SessionPage:
        """Return sessions in the reverse order of their opening, those below the number `before`."""
        found = records(self._db, SESSIONS_PAGE, {"limit": limit, "before": MAX_ID if before is None else before})
        following = whole(found[-1]["number"]) if len(found) == limit else None
        return SessionPage([view(SessionRow, row) for row in found], following)

    def sessions(self, *, limit: int) -> list[SessionRow]:
        """Return sessions, the active ones first."""
        return views(self._db, SessionRow, SESSIONS, {"limit": limit})

    def launches(self, *, limit: int) -> list[LaunchRow]:
        """Return launches, newest first."""
        return views(self._db, LaunchRow, LAUNCHES, {"limit": limit})

    def quits(self, *, limit: int) -> list[QuitRow]:
        """Return quits, newest first."""
        return views(self._db, QuitRow, QUITS, {"limit": limit})


def views(database: Database, kind: type[_View], statement: Statement, params: Mapping[str, Value]) -> list[_View]:
    """Return the rows of a query as views, whose fields are their columns; see `view`."""
    return [view(kind, row) for row in records(database, statement, params)]


def view(kind: type[_View], row: Record) -> _View:
    """Return a row as a view.

    Raises:
        StoreError: it holds what no column of its kind holds; a time may be any text.
    """
    try:
        return decode(kind, row)
    except DecodeError as error:
        msg = f"a row of the database cannot be read: {error} (id {row.get('id')}). Correct it with SQL."
        raise StoreError(msg) from error


def records(database: Database, statement: Statement, params: Mapping[str, Value]) -> list[Record]:
    """Return the rows of a query as dictionaries."""
    columns, rows = database.read_table(statement, params)
    return [{name: _shown(value) for name, value in zip(columns, row, strict=True)} for row in rows]


def _shown(value: Value) -> str | int | float | None:
    return os.fsdecode(value) if isinstance(value, bytes) else value

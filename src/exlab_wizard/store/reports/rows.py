"""Rows for the command line and the page: jobs, a job's events and files, sessions, launches and quits.

Rows are dictionaries with the column names of the schema, newest first, a keyset page at a time.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from exlab_wizard.domain.job import JobState
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import Value, path_to_sql
from exlab_wizard.store.tables import session_leases, sync_files, sync_jobs

_b = sa.bindparam
_file = sync_files.c
Record = dict[str, str | int | float | None]

_SUMMARY: Final = [column for column in sync_jobs.c if column.name not in ("progress_mark", "claim_id")]
JOBS: Final = Statement(
    sa.select(*_SUMMARY).where(sync_jobs.c.id < _b("before")).order_by(sync_jobs.c.id.desc()).limit(_b("limit"))
)
JOBS_IN_STATE: Final = Statement(
    sa.select(*_SUMMARY)
    .where(sync_jobs.c.id < _b("before"), sync_jobs.c.state == _b("state"))
    .order_by(sync_jobs.c.id.desc())
    .limit(_b("limit"))
)
JOB: Final = Statement(sa.select(*_SUMMARY).where(sync_jobs.c.id == _b("job")))
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


class RowsReport:
    """Ordered, bounded reads for people."""

    def __init__(self, database: Database) -> None:
        """Read from `database`."""
        self._db = database

    def jobs(self, *, limit: int, before: int | None = None, in_state: JobState | None = None) -> list[Record]:
        """Return jobs below id `before`, newest first."""
        params: dict[str, Value] = {"before": MAX_ID if before is None else before, "limit": limit}
        if in_state is None:
            return records(self._db, JOBS, params)
        return records(self._db, JOBS_IN_STATE, {**params, "state": in_state.value})

    def job(self, job_id: int) -> Record | None:
        """Return one job, or None."""
        found = records(self._db, JOB, {"job": job_id})
        return found[0] if found else None

    def events(self, job_id: int, *, limit: int = 10_000) -> list[Record]:
        """Return a job's timeline, oldest first."""
        return records(self._db, EVENTS, {"job": job_id, "limit": limit, "before": MAX_ID})

    def events_page(self, job_id: int, *, limit: int, before: int | None = None) -> list[Record]:
        """Return a job's moves below id `before`, newest first; the last of all is being queued, with id 0."""
        return records(
            self._db, EVENTS_PAGE, {"job": job_id, "limit": limit, "before": MAX_ID if before is None else before}
        )

    def files(self, job_id: int, *, limit: int, after: str = "") -> FilePage:
        """Return the files of a job behind the path `after`, which is in the form of `os.fsdecode`, by path."""
        found = records(self._db, FILES, {"job": job_id, "after": path_to_sql(after), "limit": limit + 1})
        following = str(found[limit - 1]["path"]) if len(found) > limit else None
        return FilePage(found[:limit], following)

    def session(self, lease_id: str) -> Record | None:
        """Return one session, or None."""
        found = records(self._db, SESSION, {"id": lease_id})
        return found[0] if found else None

    def sessions_page(self, *, limit: int, before: int | None = None) -> list[Record]:
        """Return sessions in the reverse order of their opening, each with its `number`, those below `before`."""
        return records(self._db, SESSIONS_PAGE, {"limit": limit, "before": MAX_ID if before is None else before})

    def sessions(self, *, limit: int) -> list[Record]:
        """Return sessions, the active ones first."""
        return records(self._db, SESSIONS, {"limit": limit})

    def launches(self, *, limit: int) -> list[Record]:
        """Return launches, newest first."""
        return records(self._db, LAUNCHES, {"limit": limit})

    def quits(self, *, limit: int) -> list[Record]:
        """Return quits, newest first."""
        return records(self._db, QUITS, {"limit": limit})


def records(database: Database, statement: Statement, params: dict[str, Value]) -> list[Record]:
    """Return the rows of a query as dictionaries."""
    columns, rows = database.read_table(statement, params)
    return [{name: _shown(value) for name, value in zip(columns, row, strict=True)} for row in rows]


def _shown(value: Value) -> str | int | float | None:
    return os.fsdecode(value) if isinstance(value, bytes) else value

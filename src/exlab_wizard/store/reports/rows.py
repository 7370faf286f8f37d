"""Rows for the command line and the page: jobs, a job's events and files, sessions, launches and quits.

The newest come first, a keyset page at a time.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Final

import sqlalchemy as sa

from exlab_wizard.domain.files import FileRecord
from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.views import Job, JobEvent, LaunchRow, QuitRow, SessionPage, SessionRow
from exlab_wizard.store.sqlite.database import Queries
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import Value, path_to_sql, view, whole
from exlab_wizard.store.tables import IS_ACTIVE, IS_IN_FLIGHT, SESSION_NUMBER, session_leases, sync_files, sync_jobs

_b = sa.bindparam
_file = sync_files.c

JOB_COLUMNS: Final = [sync_jobs.c[field.name] for field in fields(Job)]
_page = sa.select(*JOB_COLUMNS).where(sync_jobs.c.id < _b("before")).order_by(sync_jobs.c.id.desc()).limit(_b("limit"))
JOBS: Final = Statement(_page)
JOBS_IN_STATE: Final = Statement(_page.where(sync_jobs.c.state == _b("state")))
JOB: Final = Statement(sa.select(*JOB_COLUMNS).where(sync_jobs.c.id == _b("job")))
IN_FLIGHT: Final = Statement(
    sa.select(*JOB_COLUMNS).where(IS_IN_FLIGHT).order_by(sync_jobs.c.claimed_at, sync_jobs.c.id).limit(_b("limit"))
)
# Being queued is no move; the timeline begins with it all the same.
_EVENTS: Final = (
    "SELECT * FROM (SELECT 0 AS id, id AS job_id, enqueued_at AS at, NULL AS from_state, 'queued' AS to_state,"
    " 'enqueued' AS reason, NULL AS launch_id, NULL AS detail FROM sync_jobs WHERE id = :job"
    " UNION ALL SELECT id, job_id, at, from_state, to_state, reason, launch_id, detail"
    " FROM job_events WHERE job_id = :job AND id < :before) WHERE id < :before ORDER BY id"
)
EVENTS: Final = Statement(sa.text(f"{_EVENTS} LIMIT :limit"))
EVENTS_PAGE: Final = Statement(sa.text(f"{_EVENTS} DESC LIMIT :limit"))
NUMBERED_SESSIONS: Final = sa.select(SESSION_NUMBER.label("number"), *session_leases.c).limit(_b("limit"))
SESSIONS_PAGE: Final = Statement(NUMBERED_SESSIONS.where(_b("before") > SESSION_NUMBER).order_by(SESSION_NUMBER.desc()))
SESSIONS: Final = Statement(
    sa.select(*session_leases.c)
    .order_by((session_leases.c.state == "active").desc(), session_leases.c.opened_at.desc())
    .limit(_b("limit"))
)
ACTIVE_SESSIONS: Final = Statement(
    sa.select(*session_leases.c)
    .where(IS_ACTIVE)
    .order_by(session_leases.c.opened_at, session_leases.c.id)
    .limit(_b("limit"))
)
FILES: Final = Statement(
    sa.select(*(_file[field.name] for field in fields(FileRecord)))
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


class RowsReport(Queries):
    """Ordered, bounded reads for people."""

    def jobs(self, *, limit: int, before: int | None = None, in_state: JobState | None = None) -> list[Job]:
        """Return jobs below id `before`, newest first."""
        params: dict[str, Value] = {"before": MAX_ID if before is None else before, "limit": limit}
        if in_state is None:
            return self._db.views(Job, JOBS, params)
        return self._db.views(Job, JOBS_IN_STATE, {**params, "state": in_state.value})

    def job(self, job_id: int) -> Job | None:
        """Return one job, or None."""
        return self._db.first(Job, JOB, {"job": job_id})

    def in_flight(self, *, limit: int) -> list[Job]:
        """Return the jobs that are being sent or read back, the first claimed first."""
        return self._db.views(Job, IN_FLIGHT, {"limit": limit})

    def events(self, job_id: int, *, limit: int = 10_000) -> list[JobEvent]:
        """Return a job's timeline, oldest first."""
        return self._db.views(JobEvent, EVENTS, {"job": job_id, "limit": limit, "before": MAX_ID})

    def events_page(self, job_id: int, *, limit: int, before: int | None = None) -> list[JobEvent]:
        """Return a job's moves below id `before`, newest first; the last of all is being queued, with id 0."""
        params: dict[str, Value] = {"job": job_id, "limit": limit, "before": MAX_ID if before is None else before}
        return self._db.views(JobEvent, EVENTS_PAGE, params)

    def files(self, job_id: int, *, limit: int, after: str = "") -> tuple[list[FileRecord], str | None]:
        """Return files of a job behind the path `after`, by path, and the `after` of the next page; None is the last.

        Paths are in the form of `os.fsdecode`.
        """
        params: dict[str, Value] = {"job": job_id, "after": path_to_sql(after), "limit": limit + 1}
        found = self._db.views(FileRecord, FILES, params)
        return found[:limit], found[limit - 1].path if len(found) > limit else None

    def sessions_page(self, *, limit: int, before: int | None = None) -> SessionPage:
        """Return sessions in the reverse order of their opening, those below the number `before`."""
        found = self._db.named(SESSIONS_PAGE, {"limit": limit, "before": MAX_ID if before is None else before})
        following = whole(found[-1]["number"]) if len(found) == limit else None
        return SessionPage([view(SessionRow, row) for row in found], following)

    def sessions(self, *, limit: int) -> list[SessionRow]:
        """Return sessions, the active ones first."""
        return self._db.views(SessionRow, SESSIONS, {"limit": limit})

    def active_sessions(self, *, limit: int) -> list[SessionRow]:
        """Return the active sessions, the oldest first."""
        return self._db.views(SessionRow, ACTIVE_SESSIONS, {"limit": limit})

    def launches(self, *, limit: int) -> list[LaunchRow]:
        """Return launches, newest first."""
        return self._db.views(LaunchRow, LAUNCHES, {"limit": limit})

    def quits(self, *, limit: int) -> list[QuitRow]:
        """Return quits, newest first."""
        return self._db.views(QuitRow, QUITS, {"limit": limit})

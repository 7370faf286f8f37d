"""The schema as SQLAlchemy sees it: what hot statements are built from and what `alembic check` compares.

CHECKs, triggers and views live in the migrations only; the database is their one home.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from exlab_wizard.domain.job import JobState


class PathValue(sa.types.UserDefinedType[str | bytes]):
    """A path: text where it is valid Unicode, else its bytes (SQLite's `ANY`)."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """Return the name of the column type."""
        return "ANY"


metadata: Final = sa.MetaData()


def state(value: JobState) -> sa.ColumnElement[str]:
    """Return a state as a literal: partial indexes do not match bound parameters."""
    return sa.literal_column(f"'{value.value}'")


def _counter(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default="0")


installation: Final = sa.Table(
    "installation",
    metadata,
    sa.Column("only_row", sa.Integer, primary_key=True),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
)

launches: Final = sa.Table(
    "launches",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("boot_id", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("process_started_at", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("started_at", sa.Text, nullable=False),
    sa.Column("healthy_at", sa.Text),
    _counter("jobs_resumed"),
    sa.Column("draining_since", sa.Text),
    sa.Column("ended_at", sa.Text),
    sa.Column("end_reason", sa.Text),
    sa.Column("paused_since", sa.Text),
)
sa.Index("launches_open", launches.c.id, sqlite_where=launches.c.ended_at.is_(None))

session_leases: Final = sa.Table(
    "session_leases",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("operator", sa.Text),
    sa.Column("equipment_id", sa.Text),
    sa.Column("run_path", PathValue),
    sa.Column("state", sa.Text, nullable=False, server_default="active"),
    sa.Column("ttl_s", sa.REAL, nullable=False),
    sa.Column("opened_at", sa.Text, nullable=False),
    sa.Column("renewed_at", sa.Text, nullable=False),
    sa.Column("expires_at", sa.Text, nullable=False),
    sa.Column("closed_at", sa.Text),
    sa.Column("launch_id", sa.Integer, sa.ForeignKey("launches.id")),
)
IS_ACTIVE: Final = session_leases.c.state == sa.literal_column("'active'")
sa.Index("leases_active", session_leases.c.expires_at, sqlite_where=IS_ACTIVE)

sync_jobs: Final = sa.Table(
    "sync_jobs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run_path", PathValue, nullable=False),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("equipment_id", sa.Text),
    sa.Column("session_id", sa.Text, sa.ForeignKey("session_leases.id")),
    sa.Column("state", sa.Text, nullable=False, server_default="queued"),
    sa.Column("state_reason", sa.Text),
    _counter("priority"),
    _counter("attempts"),
    _counter("interruptions"),
    _counter("crashes"),
    sa.Column("not_before", sa.Text),
    sa.Column("waiting_on", sa.Text),
    sa.Column("error_kind", sa.Text),
    sa.Column("error_detail", sa.Text),
    sa.Column("enqueued_at", sa.Text, nullable=False),
    sa.Column("claimed_at", sa.Text),
    sa.Column("finished_at", sa.Text),
    sa.Column("launch_id", sa.Integer, sa.ForeignKey("launches.id")),
    sa.Column("claim_id", sa.Text),
    _counter("files_total"),
    _counter("files_done"),
    _counter("bytes_total"),
    _counter("bytes_done"),
    _counter("bytes_verified"),
    _counter("bytes_resumed"),
    _counter("progress_mark"),
    _counter("verify_passes"),
    sa.Column("verified_at", sa.Text),
)

_QUEUED = sync_jobs.c.state == state(JobState.QUEUED)
# An equality or its OR with others, never IN: that is how SQLite sees that `jobs_unsettled` covers a condition.
IS_IN_FLIGHT: Final = sa.or_(
    sync_jobs.c.state == state(JobState.RUNNING), sync_jobs.c.state == state(JobState.VERIFYING)
)
# The triggers keep `finished_at` set in exactly the final states; a condition on `state` would cost an index write at
# each move.
IS_UNFINISHED: Final = sync_jobs.c.finished_at.is_(None)
IS_DUE: Final = sa.and_(_QUEUED, sync_jobs.c.not_before.is_(None))
IS_DELAYED: Final = sa.and_(_QUEUED, sync_jobs.c.not_before.is_not(None))
IS_WAITING: Final = sa.and_(_QUEUED, sync_jobs.c.waiting_on.is_not(None))
IS_RESUMABLE: Final = sync_jobs.c.state == state(JobState.RESUMABLE)
IS_FAILED: Final = sync_jobs.c.state == state(JobState.FAILED)

sa.Index("jobs_due", sync_jobs.c.priority.desc(), sync_jobs.c.id, sqlite_where=IS_DUE)
sa.Index("jobs_delayed", sync_jobs.c.not_before, sqlite_where=IS_DELAYED)
sa.Index("jobs_unsettled", sync_jobs.c.state, sqlite_where=sa.or_(IS_IN_FLIGHT, IS_RESUMABLE, IS_FAILED))
sa.Index("jobs_waiting", sync_jobs.c.destination, sync_jobs.c.waiting_on, sqlite_where=IS_WAITING)
sa.Index("jobs_one_unfinished", sync_jobs.c.run_path, sync_jobs.c.destination, unique=True, sqlite_where=IS_UNFINISHED)

sync_files: Final = sa.Table(
    "sync_files",
    metadata,
    sa.Column("job_id", sa.Integer, sa.ForeignKey("sync_jobs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("path", PathValue, primary_key=True),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("mtime_ns", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False, server_default="pending"),
    _counter("bytes_done"),
    sa.Column("prefix_sha256", sa.Text),
    sa.Column("sha256", sa.Text),
)

job_transitions: Final = sa.Table(
    "job_transitions",
    metadata,
    sa.Column("from_state", sa.Text, primary_key=True),
    sa.Column("to_state", sa.Text, primary_key=True),
    sa.Column("meaning", sa.Text, nullable=False),
)

job_events: Final = sa.Table(
    "job_events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("job_id", sa.Integer, sa.ForeignKey("sync_jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("from_state", sa.Text),
    sa.Column("to_state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("launch_id", sa.Integer),
    sa.Column("detail", sa.Text),
)
sa.Index("events_by_job", job_events.c.job_id)

quit_requests: Final = sa.Table(
    "quit_requests",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("launch_id", sa.Integer, sa.ForeignKey("launches.id"), nullable=False),
    sa.Column("requested_at", sa.Text, nullable=False),
    sa.Column("trigger", sa.Text, nullable=False),
    sa.Column("window_s", sa.REAL),
    _counter("prompts"),
    _counter("waits"),
    sa.Column("blocking_sessions", sa.Integer),
    sa.Column("blocking_jobs", sa.Integer),
    sa.Column("outcome", sa.Text),
    sa.Column("decided_at", sa.Text),
    _counter("force"),
    sa.Column("asking_since", sa.Text),
    sa.Column("asker_until", sa.Text),
    sa.Column("answer", sa.Text),
)
sa.Index("quits_undecided", quit_requests.c.launch_id, sqlite_where=quit_requests.c.outcome.is_(None))

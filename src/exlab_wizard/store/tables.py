"""The schema as SQLAlchemy sees it: what hot statements are built from and what `alembic check` compares.

CHECKs, triggers and views live in the migrations only; the database is their one home.
"""

from __future__ import annotations

from typing import Final, TypeVar

import sqlalchemy as sa

from exlab_wizard.domain.job import JobState

_T = TypeVar("_T")


class PathValue(sa.types.UserDefinedType[str | bytes]):
    """A path: text where it is valid Unicode, else its bytes (SQLite's `ANY`)."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """Return the name of the column type."""
        return "ANY"


metadata: Final = sa.MetaData()

ZERO: Final[sa.ColumnElement[int]] = sa.literal_column("0")
ONE: Final[sa.ColumnElement[int]] = sa.literal_column("1")


def state(value: JobState) -> sa.ColumnElement[str]:
    """Return a state as a literal: partial indexes do not match bound parameters."""
    return sa.literal_column(f"'{value.value}'")


def _required(kind: type[sa.types.TypeEngine[_T]], *names: str) -> list[sa.Column[_T]]:
    return [sa.Column(name, kind, nullable=False) for name in names]


def _optional(kind: type[sa.types.TypeEngine[_T]], *names: str) -> list[sa.Column[_T]]:
    return [sa.Column(name, kind) for name in names]


def _counters(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.Integer, nullable=False, server_default="0") for name in names]


installation: Final = sa.Table(
    "installation",
    metadata,
    sa.Column("only_row", sa.Integer, primary_key=True),
    *_required(sa.Text, "id", "created_at"),
)

launches: Final = sa.Table(
    "launches",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    *_required(sa.Text, "host", "boot_id"),
    *_required(sa.Integer, "pid"),
    *_required(sa.Text, "process_started_at", "version", "started_at"),
    *_optional(sa.Text, "healthy_at"),
    *_counters("jobs_resumed"),
    *_optional(sa.Text, "draining_since", "ended_at", "end_reason", "paused_since"),
)
sa.Index("launches_open", launches.c.id, sqlite_where=launches.c.ended_at.is_(None))

session_leases: Final = sa.Table(
    "session_leases",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    *_required(sa.Text, "kind", "label"),
    *_optional(sa.Text, "operator", "equipment_id"),
    *_optional(PathValue, "run_path"),
    sa.Column("state", sa.Text, nullable=False, server_default="active"),
    *_required(sa.REAL, "ttl_s"),
    *_required(sa.Text, "opened_at", "renewed_at", "expires_at"),
    *_optional(sa.Text, "closed_at"),
    sa.Column("launch_id", sa.Integer, sa.ForeignKey("launches.id")),
)
# Rows are inserted in the order of opening, and the newest is never deleted.
SESSION_NUMBER: Final[sa.ColumnElement[int]] = sa.literal_column("session_leases.rowid")
IS_ACTIVE: Final = session_leases.c.state == sa.literal_column("'active'")
sa.Index("leases_active", session_leases.c.expires_at, sqlite_where=IS_ACTIVE)

sync_jobs: Final = sa.Table(
    "sync_jobs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    *_required(PathValue, "run_path"),
    *_required(sa.Text, "destination"),
    *_optional(sa.Text, "equipment_id"),
    sa.Column("session_id", sa.Text, sa.ForeignKey("session_leases.id")),
    sa.Column("state", sa.Text, nullable=False, server_default="queued"),
    *_optional(sa.Text, "state_reason"),
    *_counters("priority", "attempts", "interruptions", "crashes"),
    *_optional(sa.Text, "not_before", "waiting_on", "error_kind", "error_detail"),
    *_required(sa.Text, "enqueued_at"),
    *_optional(sa.Text, "claimed_at", "finished_at"),
    sa.Column("launch_id", sa.Integer, sa.ForeignKey("launches.id")),
    *_optional(sa.Text, "claim_id"),
    *_counters("files_total", "files_done", "bytes_total", "bytes_done", "bytes_verified", "bytes_resumed"),
    *_counters("progress_mark", "verify_passes"),
    *_optional(sa.Text, "verified_at"),
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
    *_required(sa.Integer, "size", "mtime_ns"),
    sa.Column("state", sa.Text, nullable=False, server_default="pending"),
    *_counters("bytes_done"),
    *_optional(sa.Text, "prefix_sha256", "sha256"),
)

job_transitions: Final = sa.Table(
    "job_transitions",
    metadata,
    sa.Column("from_state", sa.Text, primary_key=True),
    sa.Column("to_state", sa.Text, primary_key=True),
    *_required(sa.Text, "meaning"),
)

job_events: Final = sa.Table(
    "job_events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("job_id", sa.Integer, sa.ForeignKey("sync_jobs.id", ondelete="CASCADE"), nullable=False),
    *_required(sa.Text, "at"),
    *_optional(sa.Text, "from_state"),
    *_required(sa.Text, "to_state"),
    *_optional(sa.Text, "reason"),
    *_optional(sa.Integer, "launch_id"),
    *_optional(sa.Text, "detail"),
)
sa.Index("events_by_job", job_events.c.job_id)

quit_requests: Final = sa.Table(
    "quit_requests",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("launch_id", sa.Integer, sa.ForeignKey("launches.id"), nullable=False),
    *_required(sa.Text, "requested_at", "trigger"),
    *_optional(sa.REAL, "window_s"),
    *_counters("prompts", "waits"),
    *_optional(sa.Integer, "blocking_sessions", "blocking_jobs"),
    *_optional(sa.Text, "outcome", "decided_at"),
    *_counters("force"),
    *_optional(sa.Text, "asking_since", "asker_until", "answer"),
)
sa.Index("quits_undecided", quit_requests.c.launch_id, sqlite_where=quit_requests.c.outcome.is_(None))

"""What the API, the client, the command line and the page say of a job, a session, a launch, a quit and the drain.

One description of each thing: the store reads rows into these, the API sends them, the client reads them back. The
fields of a row are its columns. Times are aware, in UTC; sizes are in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from exlab_wizard.domain.codec import about
from exlab_wizard.domain.job import ErrorKind, JobState, WaitReason
from exlab_wizard.domain.quit import Blocker, Phase, QuitOutcome, QuitTrigger


@dataclass(frozen=True, slots=True)
class Job:
    """A sync job, a row of `sync_jobs`: how far it is, what it waits for, what went wrong."""

    id: int
    run_path: str = field(metadata=about("the run's folder; bytes that are not UTF-8 appear as `\\xNN`"))
    destination: str
    equipment_id: str | None
    session_id: str | None = field(metadata=about("the session whose completion queued it"))
    state: JobState
    state_reason: str | None = field(metadata=about("why it is in this state, in words"))
    priority: int
    attempts: int = field(metadata=about("attempts that count towards the retry limit"))
    interruptions: int = field(metadata=about("how often a quit or a machine restart interrupted it"))
    crashes: int = field(metadata=about("launches that crashed while it was in flight, since its last progress"))
    not_before: datetime | None = field(metadata=about("when the next attempt is due; null: now"))
    waiting_on: WaitReason | None = field(metadata=about("what it waits for; waiting does not count as an attempt"))
    error_kind: ErrorKind | None
    error_detail: str | None = field(metadata=about("what went wrong, and what to do"))
    enqueued_at: datetime
    claimed_at: datetime | None
    finished_at: datetime | None
    launch_id: int | None
    files_total: int
    files_done: int
    bytes_total: int = field(metadata=about("bytes of all files; 0 until the run is scanned"))
    bytes_done: int = field(metadata=about("bytes that are durable on the destination"))
    bytes_verified: int = field(metadata=about("bytes that were read back and matched"))
    bytes_resumed: int = field(metadata=about("bytes that the last attempt found there and did not send again"))
    verify_passes: int
    verified_at: datetime | None


_NEXT = about("the `before` of the next page; null: this is the last")


@dataclass(frozen=True, slots=True)
class JobPage:
    """Jobs, the newest first."""

    jobs: list[Job]
    next: int | None = field(metadata=_NEXT)


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One move of a job."""

    id: int = field(metadata=about("0 for the queueing of the job, which is not a move"))
    job_id: int
    at: datetime
    from_state: JobState | None
    to_state: JobState
    reason: str | None
    launch_id: int | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class JobEventPage:
    """The moves of a job, the newest first."""

    events: list[JobEvent]
    next: int | None = field(metadata=_NEXT)


MAX_TTL_SECONDS: Final = 3600.0
"""A lease that is not renewed in time expires, so that a dead client never keeps the application from quitting."""


class LeaseState(StrEnum):
    """The state of a session lease; only `active` ones delay a quit, and every other state is final."""

    ACTIVE = "active"
    COMPLETED = "completed"
    ABORTED = "aborted"
    EXPIRED = "expired"


class SessionKind(StrEnum):
    """What kind of foreground work a lease protects."""

    RUN = "run"
    """An instrument writes a run."""
    PROJECT = "project"
    """A person fills in a creation wizard."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A session as its client sees it: it expires at `expires_at` unless it is renewed every `heartbeat_s`."""

    id: str = field(metadata=about("the session's id"))
    state: LeaseState
    expires_at: datetime = field(metadata=about("when it expires unless a heartbeat arrives first"))
    heartbeat_s: float = field(metadata=about("recommended seconds between heartbeats; up to two may be lost"))
    shutting_down: bool = field(metadata=about("a quit waits for this session: complete or abort it soon"))
    deadline: datetime | None = field(metadata=about("when the waiting quit asks or forces; null: no quit is waiting"))


@dataclass(frozen=True, slots=True)
class ClosedSession:
    """A session that is over, and what it queued."""

    id: str = field(metadata=about("the session's id"))
    state: LeaseState
    jobs: list[int] = field(metadata=about("the job of each run, in the order of the request"))


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session, a row of `session_leases`."""

    id: str = field(metadata=about("the session's id"))
    kind: SessionKind
    label: str = field(metadata=about("its name in the quit question"))
    operator: str | None = field(metadata=about("who is at work"))
    equipment_id: str | None = field(metadata=about("the instrument"))
    run_path: str | None = field(metadata=about("the run that it writes; bytes that are not UTF-8 appear as `\\xNN`"))
    state: LeaseState
    ttl_s: float = field(metadata=about("seconds without a heartbeat after which it expires"))
    opened_at: datetime
    renewed_at: datetime
    expires_at: datetime
    closed_at: datetime | None
    launch_id: int | None = field(metadata=about("the launch during which it was opened"))


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Sessions, the newest first."""

    sessions: list[SessionRow]
    next: int | None = field(metadata=_NEXT)


@dataclass(frozen=True, slots=True)
class OpenLaunch:
    """The launch that has not ended, as the database knows it; whether it lives is for the instance lock to say.

    Times are text: `paused_since` may be set with SQL, to anything.
    """

    id: int
    pid: int
    host: str
    version: str
    started_at: str
    draining_since: str | None
    paused_since: str | None


@dataclass(frozen=True, slots=True)
class LaunchRow:
    """A launch, a row of `launch_history`; `ended` says how it ended, in words."""

    id: int
    started_at: datetime
    ended_at: datetime | None
    ended: str
    jobs_resumed: int
    host: str
    pid: int
    version: str
    healthy_at: datetime | None
    draining_since: datetime | None
    paused_since: str | None


@dataclass(frozen=True, slots=True)
class QuitRow:
    """A quit, a row of `quit_history`; `took_s` is the time from the request to the decision."""

    id: int
    requested_at: datetime
    trigger: QuitTrigger
    outcome: QuitOutcome | None
    decided_at: datetime | None
    took_s: float | None
    window_s: float | None
    prompts: int
    waits: int
    blocking_sessions: int | None
    blocking_jobs: int | None
    launch_id: int


@dataclass(frozen=True, slots=True)
class Drain:
    """What a quit waits for, and how far it is. Where `idle` is None it is unknown: never treat that as idle."""

    active_sessions: int | None = field(metadata=about("null: the predicate cannot be read"))
    in_flight_jobs: int | None = field(metadata=about("null: the predicate cannot be read"))
    idle: bool | None = field(
        metadata=about("true: nothing is in flight or leased; null: unknown, never treat it as idle")
    )
    reason: str | None = field(metadata=about("why it is unknown"))
    phase: Phase
    deadline: datetime | None = field(metadata=about("when this window of the quit ends; null: no window is open"))
    question: str | None = field(metadata=about("the open question; null: none"))
    blockers: tuple[Blocker, ...] = field(metadata=about("the oldest first, at most 100"))


@dataclass(frozen=True, slots=True)
class Pending:
    """Unfinished jobs in one state, and the bytes of them that are not on the destination yet."""

    jobs: int
    bytes_left: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Queued jobs for one destination that wait for the same thing."""

    destination: str
    waiting_on: WaitReason
    jobs: int


@dataclass(frozen=True, slots=True)
class Status:
    """What runs, waits and failed: `pending` is by state, `sessions` are the active ones."""

    launch: OpenLaunch | None
    pending: dict[str, Pending]
    in_flight: list[Blocker]
    waiting: list[Waiting]
    failed: int
    sessions: list[SessionRow]
    last_launch: LaunchRow | None


HealthStatus = Literal["ok", "warn", "error"]


@dataclass(frozen=True, slots=True)
class Component:
    """How one part of the application is, and why."""

    status: HealthStatus
    reason: str | None = field(default=None, metadata=about("in words; only with the token"))


@dataclass(frozen=True, slots=True)
class Health:
    """How the application is; the worst component wins."""

    status: HealthStatus
    components: dict[str, Component] = field(
        metadata=about("database, workers, leases, destinations, server, and the other long-running parts")
    )
    proof: str | None = field(
        default=None,
        metadata=about("HMAC-SHA256 of `exlab-wizard server CHALLENGE` with the token as key, in hexadecimal"),
    )
    bytes_last_minute: int | None = field(
        default=None, metadata=about("bytes sent and read back in the last minute; only with the token")
    )
    version: str | None = field(default=None, metadata=about("of the program; only with the token"))
    launch_id: int | None = field(default=None, metadata=about("the running launch; only with the token"))
    phase: Phase | None = field(default=None, metadata=about("the phase of a quit; only with the token"))

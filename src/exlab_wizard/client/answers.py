"""What the application answers, with types: sessions, jobs, the drain, health, events. Sizes in bytes, times in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from exlab_wizard.client.fields import Fields
from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.lease import LeaseState
from exlab_wizard.domain.quit import Blocker, Phase
from exlab_wizard.domain.status import OpenLaunch, Pending, Standing, Waiting


@dataclass(frozen=True, slots=True)
class Lease:
    """A session as the application holds it: it ends at `expires_at` unless it is renewed every `heartbeat_s`.

    `shutting_down` says that a quit waits for it, until `deadline` where that is known.
    """

    id: str
    state: LeaseState
    expires_at: datetime
    heartbeat_s: float
    shutting_down: bool
    deadline: datetime | None

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Return what an answer says."""
        return cls(
            id=fields.text("id"),
            state=LeaseState(fields.text("state")),
            expires_at=fields.moment("expires_at"),
            heartbeat_s=fields.real("heartbeat_s"),
            shutting_down=fields.flag("shutting_down"),
            deadline=fields.maybe_moment("deadline"),
        )


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A row of `session_leases`."""

    id: str
    kind: str
    label: str
    operator: str | None
    equipment_id: str | None
    run_path: str | None
    state: LeaseState
    opened_at: datetime
    renewed_at: datetime
    expires_at: datetime
    closed_at: datetime | None

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Return what an answer says."""
        return cls(
            id=fields.text("id"),
            kind=fields.text("kind"),
            label=fields.text("label"),
            operator=fields.maybe_text("operator"),
            equipment_id=fields.maybe_text("equipment_id"),
            run_path=fields.maybe_text("run_path"),
            state=LeaseState(fields.text("state")),
            opened_at=fields.moment("opened_at"),
            renewed_at=fields.moment("renewed_at"),
            expires_at=fields.moment("expires_at"),
            closed_at=fields.maybe_moment("closed_at"),
        )


@dataclass(frozen=True, slots=True)
class Queued:
    """A run that is queued: its job, and whether that was made now or was pending already."""

    job_id: int
    created: bool


@dataclass(frozen=True, slots=True)
class Job:
    """A row of `sync_jobs`: how far it is, what it waits for, what went wrong."""

    id: int
    run_path: str
    destination: str
    equipment_id: str | None
    session_id: str | None
    state: JobState
    state_reason: str | None
    priority: int
    attempts: int
    waiting_on: str | None
    error_kind: str | None
    error_detail: str | None
    files_total: int
    files_done: int
    bytes_total: int
    bytes_done: int
    bytes_verified: int
    enqueued_at: datetime
    finished_at: datetime | None

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Return what an answer says."""
        return cls(
            id=fields.whole("id"),
            run_path=fields.text("run_path"),
            destination=fields.text("destination"),
            equipment_id=fields.maybe_text("equipment_id"),
            session_id=fields.maybe_text("session_id"),
            state=JobState(fields.text("state")),
            state_reason=fields.maybe_text("state_reason"),
            priority=fields.whole("priority"),
            attempts=fields.whole("attempts"),
            waiting_on=fields.maybe_text("waiting_on"),
            error_kind=fields.maybe_text("error_kind"),
            error_detail=fields.maybe_text("error_detail"),
            files_total=fields.whole("files_total"),
            files_done=fields.whole("files_done"),
            bytes_total=fields.whole("bytes_total"),
            bytes_done=fields.whole("bytes_done"),
            bytes_verified=fields.whole("bytes_verified"),
            enqueued_at=fields.moment("enqueued_at"),
            finished_at=fields.maybe_moment("finished_at"),
        )


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One thing that happened to a job."""

    at: datetime
    from_state: str | None
    to_state: str
    reason: str | None
    detail: str | None

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Return what an answer says."""
        return cls(
            at=fields.moment("at"),
            from_state=fields.maybe_text("from_state"),
            to_state=fields.text("to_state"),
            reason=fields.maybe_text("reason"),
            detail=fields.maybe_text("detail"),
        )


@dataclass(frozen=True, slots=True)
class Component:
    """How one part of the application is: `ok`, `warn` or `error`, and why."""

    status: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Health:
    """How the application is; the worst of its parts wins."""

    status: str
    components: Mapping[str, Component]
    bytes_last_minute: int | None
    phase: Phase

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Return what an answer says."""
        components = fields.inner("components")
        return cls(
            status=fields.text("status"),
            components={name: _component(components.inner(name)) for name in components.names()},
            bytes_last_minute=fields.maybe_whole("bytes_last_minute"),
            phase=Phase(fields.text("phase")),
        )


def _component(fields: Fields) -> Component:
    return Component(fields.text("status"), fields.maybe_text("reason"))


@dataclass(frozen=True, slots=True)
class Drain:
    """What a quit waits for, and how far it is. `idle` is None where that cannot be read: never take it for true."""

    active_sessions: int | None
    in_flight_jobs: int | None
    idle: bool | None
    phase: Phase
    deadline: datetime | None
    blockers: tuple[Blocker, ...]

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Return what an answer says."""
        return cls(
            active_sessions=fields.maybe_whole("active_sessions"),
            in_flight_jobs=fields.maybe_whole("in_flight_jobs"),
            idle=fields.maybe_flag("idle"),
            phase=Phase(fields.text("phase")),
            deadline=fields.maybe_moment("deadline"),
            blockers=tuple(blocker(one) for one in fields.each("blockers")),
        )


def blocker(fields: Fields) -> Blocker:
    """Return one operation that holds back a quit."""
    return Blocker(
        kind=fields.text("kind"),
        id=fields.text("id"),
        label=fields.text("label"),
        since=fields.text("since"),
        bytes_left=fields.maybe_whole("bytes_left"),
        percent=fields.maybe_real("percent"),
        eta_s=fields.maybe_real("eta_s"),
    )


def standing(fields: Fields) -> Standing:
    """Return how things stand."""
    launch, last = fields.maybe_inner("launch"), fields.maybe_inner("last_launch")
    pending = fields.inner("pending")
    return Standing(
        launch=None if launch is None else _launch(launch),
        pending={
            state: Pending(pending.inner(state).whole("jobs"), pending.inner(state).whole("bytes_left"))
            for state in pending.names()
        },
        in_flight=[blocker(one) for one in fields.each("in_flight")],
        waiting=[
            Waiting(one.text("destination"), one.text("waiting_on"), one.whole("jobs"))
            for one in fields.each("waiting")
        ],
        failed=fields.whole("failed"),
        sessions=[one.row() for one in fields.each("sessions")],
        last_launch=None if last is None else last.row(),
    )


def _launch(fields: Fields) -> OpenLaunch:
    return OpenLaunch(
        id=fields.whole("id"),
        pid=fields.whole("pid"),
        host=fields.text("host"),
        version=fields.text("version"),
        started_at=fields.text("started_at"),
        draining_since=fields.maybe_text("draining_since"),
        paused_since=fields.maybe_text("paused_since"),
    )


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the application: what kind, its data, and the id after which the next listening goes on."""

    id: str
    kind: str
    data: Mapping[str, object]

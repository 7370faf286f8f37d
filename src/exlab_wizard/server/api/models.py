"""The bodies of requests and answers; every field with its unit and meaning.

Times are UTC text `YYYY-MM-DDTHH:MM:SS.mmmZ`, sizes bytes. What a request may not hold is refused, never ignored.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from exlab_wizard.domain.job import ErrorKind, JobState, WaitReason
from exlab_wizard.domain.lease import MAX_TTL_SECONDS, LeaseState, SessionKind
from exlab_wizard.domain.quit import Phase
from exlab_wizard.process.window_request import LONGEST_PAGE, PAGE

HIGHEST_PRIORITY: Final = 1_000
MOST_RUNS: Final = 1_000
LONGEST_PATH: Final = 4_096
LARGEST_ID: Final = (1 << 63) - 1

Moment = Annotated[str, Field(examples=["2026-11-24T08:00:00.000Z"])]
RunPath = Annotated[str, Field(min_length=1, max_length=LONGEST_PATH, description="absolute path of the run's folder")]
Destination = Annotated[str, Field(min_length=1, max_length=63, description="name of a configured destination")]
Equipment = Annotated[
    str,
    Field(
        min_length=1,
        max_length=63,
        description="the instrument that wrote the run; becomes a folder on the destination, so it is a plain name",
    ),
]
Priority = Annotated[
    int, Field(ge=-HIGHEST_PRIORITY, le=HIGHEST_PRIORITY, description="higher goes first; 0 is ordinary")
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OpenSession(_Request):
    """Foreground work that begins."""

    kind: SessionKind = Field(description="`run`: an acquisition; `project`: a creation wizard")
    label: str = Field(min_length=1, max_length=200, description="what the quit question calls it")
    operator: str | None = Field(default=None, max_length=200, description="who is at work")
    equipment_id: Equipment | None = None
    run_path: str | None = Field(default=None, max_length=LONGEST_PATH, description="the run that it writes, if known")
    ttl_s: float | None = Field(
        default=None,
        ge=1,
        le=MAX_TTL_SECONDS,
        allow_inf_nan=False,
        description="seconds that it lives without a heartbeat; `sessions.ttl_s` of the settings unless given",
    )
    id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{7,63}$",
        description="chosen by the client, so that a lost answer can be asked for again; random unless given",
    )


class SessionLease(BaseModel):
    """How a session stands for its client."""

    id: str = Field(description="the session's id")
    state: LeaseState
    expires_at: Moment = Field(description="when it ends unless a heartbeat comes before")
    heartbeat_s: float = Field(description="seconds between heartbeats that leave room for two lost ones")
    shutting_down: bool = Field(description="a quit waits for this session: complete or abort it soon")
    deadline: Moment | None = Field(
        default=None, description="when the quit that waits asks or forces; null: none waits"
    )


class FinishedRun(_Request):
    """One run to one destination."""

    path: RunPath
    destination: Destination
    priority: Priority = 0


class CompleteSession(_Request):
    """What the session produced."""

    runs: list[FinishedRun] = Field(default_factory=list, max_length=MOST_RUNS, description="queued with the closing")


class ClosedSession(BaseModel):
    """A session that is over, and what it queued."""

    id: str = Field(description="the session's id")
    state: LeaseState
    jobs: list[int] = Field(description="the job of each run, in the order of the request")


class SessionView(BaseModel):
    """A session as everybody sees it."""

    id: str = Field(description="the session's id")
    kind: SessionKind
    label: str = Field(description="what the quit question calls it")
    operator: str | None = Field(description="who is at work")
    equipment_id: str | None = Field(description="the instrument")
    run_path: str | None = Field(description="the run that it writes; bytes that are not UTF-8 stand as `\\xNN`")
    state: LeaseState
    ttl_s: float = Field(description="seconds that it lives without a heartbeat")
    opened_at: Moment
    renewed_at: Moment
    expires_at: Moment
    closed_at: Moment | None
    launch_id: int | None = Field(description="the launch under which it was opened")


class SessionPage(BaseModel):
    """Sessions, the newest first."""

    sessions: list[SessionView]
    next: int | None = Field(description="the `before` of the next page; null: this is the last")


class EnqueueJob(_Request):
    """One run to one destination."""

    run_path: RunPath
    destination: Destination
    equipment_id: Equipment | None = None
    priority: Priority = 0


class JobView(BaseModel):
    """A sync job."""

    id: int
    run_path: str = Field(description="the run's folder; bytes that are not UTF-8 stand as `\\xNN`")
    destination: str
    equipment_id: str | None
    session_id: str | None = Field(description="the session whose completion queued it")
    state: JobState
    state_reason: str | None = Field(description="why it is in this state, in words")
    priority: int
    attempts: int = Field(description="attempts that counted; interruptions give theirs back")
    interruptions: int = Field(description="how often a quit cut it off")
    crashes: int = Field(description="launches that died with it in flight, since its last progress")
    not_before: Moment | None = Field(description="not tried before then")
    waiting_on: WaitReason | None = Field(description="what it waits for without using an attempt")
    error_kind: ErrorKind | None
    error_detail: str | None = Field(description="what went wrong, and what to do")
    enqueued_at: Moment
    claimed_at: Moment | None
    finished_at: Moment | None
    launch_id: int | None
    files_total: int
    files_done: int
    bytes_total: int = Field(description="bytes of all files; 0 while it was not scanned yet")
    bytes_done: int = Field(description="bytes that are durable on the destination")
    bytes_verified: int = Field(description="bytes that were read back and matched")
    bytes_resumed: int = Field(description="bytes that the last attempt found there and did not send again")
    verify_passes: int
    verified_at: Moment | None


class JobPage(BaseModel):
    """Jobs, the newest first."""

    jobs: list[JobView]
    next: int | None = Field(description="the `before` of the next page; null: this is the last")


class JobEvent(BaseModel):
    """One move of a job."""

    id: int = Field(description="0 is being queued, which is no move")
    job_id: int
    at: Moment
    from_state: JobState | None
    to_state: JobState
    reason: str | None
    launch_id: int | None
    detail: str | None


class JobEventPage(BaseModel):
    """The moves of a job, the newest first."""

    events: list[JobEvent]
    next: int | None = Field(description="the `before` of the next page; null: this is the last")


class BlockerView(BaseModel):
    """One operation that a quit waits for."""

    kind: str = Field(description="`job` or `session`")
    id: str
    label: str
    since: Moment
    bytes_left: int | None = Field(description="bytes that are not sent yet; null where unknown")
    percent: float | None = Field(description="0 to 100, sending and reading back together; null where unknown")
    eta_s: float | None = Field(description="seconds until its end, or until its lease runs out; null where unknown")


class DrainView(BaseModel):
    """The drain predicate and what it counts."""

    active_sessions: int | None = Field(description="null: the predicate cannot be read")
    in_flight_jobs: int | None = Field(description="null: the predicate cannot be read")
    idle: bool | None = Field(description="nothing is in flight or leased; null: unknown, never to be taken for idle")
    reason: str | None = Field(description="why it is unknown")
    phase: Phase
    deadline: Moment | None = Field(description="when the present window of the quit ends; null: no window runs")
    question: str | None = Field(description="the question that waits for an answer; null: none does")
    blockers: list[BlockerView] = Field(description="the oldest first, at most 100")


class AskQuit(_Request):
    """A quit."""

    force: bool = Field(default=False, description="do not wait: what is in flight resumes at the next launch")


class QuitAsked(BaseModel):
    """A quit that was noted."""

    quit_id: int = Field(description="its row in `quit_requests`")


class AnswerQuit(_Request):
    """The answer to the quit question."""

    answer: Literal["force", "wait", "keep_running"] = Field(
        description="`force`: quit now; `wait`: a fresh window; `keep_running`: take the quit back"
    )


class AnswerTaken(BaseModel):
    """An answer that was taken."""

    answer: str


class PauseView(BaseModel):
    """Since when this launch is paused; null while it is not."""

    paused_since: str | None


Status = Literal["ok", "warn", "error"]


class ComponentHealth(BaseModel):
    """How one part of the application is."""

    status: Status
    reason: str | None = Field(default=None, description="in words; only with the token")


class HealthView(BaseModel):
    """How the application is; the worst component wins."""

    status: Status
    components: dict[str, ComponentHealth] = Field(
        description="database, workers, leases, destinations, server; and each part that should never end"
    )
    proof: str | None = Field(
        default=None, description="HMAC-SHA256 of `exlab-wizard server CHALLENGE` with the token as key, in hexadecimal"
    )
    bytes_last_minute: int | None = Field(
        default=None, description="bytes sent and read back in the last minute; only with the token"
    )
    version: str | None = Field(default=None, description="of the program; only with the token")
    launch_id: int | None = Field(default=None, description="the running launch; only with the token")
    phase: Phase | None = Field(default=None, description="where a quit stands; only with the token")


class WindowFocus(_Request):
    """Whether the operator works in the page."""

    focused: bool = Field(description="the page is visible and has the keyboard")


class WindowView(BaseModel):
    """Whether the operator has the window before them."""

    open: bool
    focused: bool = Field(description="a page said last that the operator works in it")


class OpenWindow(_Request):
    """A page to see."""

    page: str = Field(
        default="/", max_length=LONGEST_PAGE, pattern=f"^{PAGE.pattern}$", description="a path of this server"
    )


class WindowShown(BaseModel):
    """What became of the window."""

    how: Literal["opened", "focused"]
    by: str = Field(description="`webview`, `chromium` or `browser`")


class LoginLink(BaseModel):
    """A way in for a browser."""

    path: str = Field(description="open it on this server within `expires_in_s`; it works once")
    expires_in_s: float

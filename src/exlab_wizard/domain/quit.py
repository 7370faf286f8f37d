"""The ladder of a quit, as a pure function: `advance(phase, event)` is the next phase.

    running ──quit──▶ draining ──idle──────────────────────────▶ stopped   (drained)
       ▲               │    ▲ wait (a fresh window, as often as asked)
       │               ▼    │
       └─keep running─ asking ──force──▶ forcing ──checkpointed──▶ stopped  (forced)

Forcing is not failing: interrupted jobs resume at the next launch. The coordinator only drives this table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

from exlab_wizard.domain.codec import about


class Phase(StrEnum):
    """The phase of the application between start and exit."""

    RUNNING = "running"
    DRAINING = "draining"
    ASKING = "asking"
    FORCING = "forcing"
    STOPPED = "stopped"


class QuitEvent(StrEnum):
    """An event that may change the phase."""

    QUIT = "quit"
    """A request to quit; a second one while asking is the answer "force"."""
    IDLE = "idle"
    """The predicate was read: nothing is in flight or leased."""
    WINDOW_OVER = "window_over"
    """The drain took longer than its window, and an operator can be asked."""
    WINDOW_OVER_UNASKABLE = "window_over_unaskable"
    """The drain took longer than its window, and no operator can or may be asked."""
    WAIT = "wait"
    FORCE = "force"
    KEEP_RUNNING = "keep_running"
    CHECKPOINTED = "checkpointed"
    """Workers have stopped or were abandoned, and their rows are marked."""


class QuitOutcome(StrEnum):
    """How a quit ended, as in `quit_requests.outcome`."""

    DRAINED = "drained"
    FORCED = "forced"
    KEPT_RUNNING = "kept_running"


class QuitTrigger(StrEnum):
    """Where the request came from, as in `quit_requests.trigger`."""

    TRAY = "tray"
    WINDOW = "window"
    API = "api"
    CLI = "cli"
    SIGNAL = "signal"


_LADDER: Final[dict[tuple[Phase, QuitEvent], Phase]] = {
    (Phase.RUNNING, QuitEvent.QUIT): Phase.DRAINING,
    (Phase.RUNNING, QuitEvent.FORCE): Phase.FORCING,
    (Phase.DRAINING, QuitEvent.IDLE): Phase.STOPPED,
    (Phase.DRAINING, QuitEvent.WINDOW_OVER): Phase.ASKING,
    (Phase.DRAINING, QuitEvent.WINDOW_OVER_UNASKABLE): Phase.FORCING,
    (Phase.DRAINING, QuitEvent.FORCE): Phase.FORCING,
    (Phase.DRAINING, QuitEvent.KEEP_RUNNING): Phase.RUNNING,
    (Phase.ASKING, QuitEvent.IDLE): Phase.STOPPED,
    (Phase.ASKING, QuitEvent.WAIT): Phase.DRAINING,
    (Phase.ASKING, QuitEvent.FORCE): Phase.FORCING,
    (Phase.ASKING, QuitEvent.QUIT): Phase.FORCING,
    (Phase.ASKING, QuitEvent.WINDOW_OVER_UNASKABLE): Phase.FORCING,
    (Phase.ASKING, QuitEvent.KEEP_RUNNING): Phase.RUNNING,
    (Phase.FORCING, QuitEvent.CHECKPOINTED): Phase.STOPPED,
}


def advance(phase: Phase, event: QuitEvent) -> Phase:
    """Return the phase after `event`; an event that means nothing in `phase` changes nothing."""
    return _LADDER.get((phase, event), phase)


@dataclass(frozen=True, slots=True)
class DrainCount:
    """One reading of the drain predicate: idle when both are zero."""

    active_sessions: int
    in_flight_jobs: int

    @property
    def operations(self) -> int:
        """How many operations a quit waits for."""
        return self.active_sessions + self.in_flight_jobs

    @property
    def idle(self) -> bool:
        """Whether nothing holds back a quit."""
        return self.operations == 0


@dataclass(frozen=True, slots=True)
class Blocker:
    """One operation that holds back a quit; sizes in bytes, times in seconds, None where unknown."""

    kind: str = field(metadata=about("`job` or `session`"))
    id: str
    label: str
    since: str
    bytes_left: int | None = field(metadata=about("bytes that are not sent yet; null where unknown"))
    percent: float | None = field(metadata=about("0 to 100, sending and reading back together; null where unknown"))
    eta_s: float | None = field(
        metadata=about("estimated seconds until it finishes, or until its lease expires; null if unknown")
    )


@dataclass(frozen=True, slots=True)
class QuitStatus:
    """The operations that a quit waits for at one moment; `count` is None when unreadable, and `trouble` says why."""

    count: DrainCount | None
    blockers: list[Blocker]
    trouble: str = ""


QuitAnswer = Literal["force", "wait", "keep_running"]
"""The operator's answer to the quit question."""

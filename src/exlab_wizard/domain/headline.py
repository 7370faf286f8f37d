"""The state of the application in one line: what the icon's menu, the notifications and the page's headline say.

Pure. `headline` is the sentence, `condition` the picture that belongs to it; both are made from one snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exlab_wizard.domain.job import WaitReason
from exlab_wizard.domain.quit import Phase
from exlab_wizard.domain.text.amounts import about, number, percent, plural
from exlab_wizard.domain.text.jobs import WAITS
from exlab_wizard.domain.text.names import visible

_NAMED: Final = 2
"""How many destinations a line of a menu has room for."""


class Condition(StrEnum):
    """What the icon shows."""

    IDLE = "idle"
    BUSY = "busy"
    PAUSED = "paused"
    ATTENTION = "attention"
    """A person is needed: a job failed, a destination is offline or full, a component died."""
    QUITTING = "quitting"


@dataclass(frozen=True, slots=True)
class HeadlineState:
    """One moment of one launch."""

    phase: Phase = Phase.RUNNING
    paused: bool = False
    safe_mode: bool = False
    sessions: int = 0
    """Active and not expired."""
    in_flight: int = 0
    percent: float | None = None
    """Of the bytes of all jobs in flight: sending is one half, reading back the other; None while unknown."""
    left_s: float | None = None
    """Seconds until the last job in flight is done; None while unknown."""
    queued: int = 0
    """Jobs that wait for a worker or for anything else."""
    unreachable: tuple[tuple[str, WaitReason], ...] = ()
    """Destinations that jobs wait for, and why."""
    failed: int = 0
    trouble: str = ""
    """A sentence about an error of the application itself; empty for none."""

    @property
    def operations(self) -> int:
        """How many things a quit waits for."""
        return self.sessions + self.in_flight


def condition(overview: HeadlineState) -> Condition:
    """Return the picture; where several apply, the most urgent one."""
    if overview.phase is not Phase.RUNNING:
        return Condition.QUITTING
    if overview.trouble or overview.safe_mode or overview.failed or overview.unreachable:
        return Condition.ATTENTION
    if overview.paused:
        return Condition.PAUSED
    return Condition.BUSY if overview.in_flight else Condition.IDLE


def headline(overview: HeadlineState) -> str:
    """Return the sentence, short enough for a line of a menu."""
    if overview.phase is not Phase.RUNNING:
        return _quitting(overview)
    if overview.trouble:
        return overview.trouble
    if overview.safe_mode:
        return "Safe mode: syncing is paused; check the log"
    failed = f"{number(overview.failed)} failed" if overview.failed else ""
    return ", ".join(filter(None, (_working(overview), failed))) or "Idle"


def _quitting(overview: HeadlineState) -> str:
    match overview.phase:
        case Phase.DRAINING if overview.operations:
            return f"Quitting: waiting for {plural(overview.operations, 'operation')}"
        case Phase.ASKING:
            return f"Quitting: {plural(overview.operations, 'operation')} still running. Force quit?"
        case Phase.FORCING:
            return "Quitting: unfinished runs resume at the next launch"
        case _:
            return "Quitting"


def _working(overview: HeadlineState) -> str:
    if overview.paused:
        return f"Paused, {plural(overview.queued, 'run')} waiting" if overview.queued else "Paused"
    if overview.in_flight:
        return f"Syncing {plural(overview.in_flight, 'run')}{_progress(overview)}"
    if overview.unreachable:
        return f"Waiting: {_unreachable(overview.unreachable)}"
    if overview.queued:
        return f"Waiting: {plural(overview.queued, 'run')}"
    return f"Idle, {plural(overview.sessions, 'session')} open" if overview.sessions else ""


def _progress(overview: HeadlineState) -> str:
    done = "" if overview.percent is None else f", {percent(overview.percent)}"
    return done if not overview.left_s else f"{done}, {about(overview.left_s)} left"


def _unreachable(destinations: tuple[tuple[str, WaitReason], ...]) -> str:
    named = [f"{visible(name)} {WAITS[why].word}" for name, why in destinations[:_NAMED]]
    more = len(destinations) - len(named)
    return ", ".join([*named, f"{more} more"] if more else named)

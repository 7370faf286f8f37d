"""How things stand, in one line: what the icon's menu, the notifications and the page's headline say.

Pure. `headline` is the sentence, `condition` the picture that belongs to it; both are made from one snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exlab_wizard.domain.job import WaitReason
from exlab_wizard.domain.quit import Phase

_MINUTE: Final = 60
_HOUR: Final = 3_600
_DAY: Final = 86_400
_NEEDS: Final = {
    WaitReason.DESTINATION_OFFLINE: "offline",
    WaitReason.DESTINATION_FULL: "full",
}
_NAMED: Final = 2
"""How many destinations a line of a menu has room for."""


class Condition(StrEnum):
    """What the icon shows."""

    IDLE = "idle"
    BUSY = "busy"
    PAUSED = "paused"
    ATTENTION = "attention"
    """Somebody should look: a job failed, a destination is away, a part of the program has ended."""
    QUITTING = "quitting"


@dataclass(frozen=True, slots=True)
class Overview:
    """One moment of one launch."""

    phase: Phase = Phase.RUNNING
    paused: bool = False
    safe_mode: bool = False
    sessions: int = 0
    """Active and not expired."""
    in_flight: int = 0
    percent: float | None = None
    """Of the bytes of all that is in flight, sending counted half and reading back half; None while unknown."""
    left_s: float | None = None
    """Seconds until the last of what is in flight is sent; None while unknown."""
    queued: int = 0
    """Jobs that wait, for a worker or for anything else."""
    unreachable: tuple[tuple[str, WaitReason], ...] = ()
    """Destinations that jobs wait for, and why."""
    failed: int = 0
    trouble: str = ""
    """What is wrong with the application itself, in a sentence; empty for nothing."""

    @property
    def operations(self) -> int:
        """How many things a quit waits for."""
        return self.sessions + self.in_flight


def condition(overview: Overview) -> Condition:
    """Return the picture; where several would do, the one that asks for the most."""
    if overview.phase is not Phase.RUNNING:
        return Condition.QUITTING
    if overview.trouble or overview.safe_mode or overview.failed or overview.unreachable:
        return Condition.ATTENTION
    if overview.paused:
        return Condition.PAUSED
    return Condition.BUSY if overview.in_flight else Condition.IDLE


def headline(overview: Overview) -> str:
    """Return the sentence, short enough for a line of a menu."""
    if overview.phase is not Phase.RUNNING:
        return _quitting(overview)
    if overview.trouble:
        return overview.trouble
    if overview.safe_mode:
        return "Safe mode: nothing is synced, see the log"
    return _working(overview)


def counted(count: int, noun: str) -> str:
    """Return `1 run`, `2 runs`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def about(seconds: float) -> str:
    """Return a time that is only estimated, in the coarsest unit that says enough."""
    if seconds < _MINUTE:
        return f"about {max(1, round(seconds))} s"
    if seconds < _HOUR:
        return f"about {round(seconds / _MINUTE)} min"
    if seconds < _DAY:
        return f"about {round(seconds / _HOUR)} h"
    return f"about {counted(round(seconds / _DAY), 'day')}"


def _quitting(overview: Overview) -> str:
    match overview.phase:
        case Phase.DRAINING if overview.operations:
            return f"Quitting: waiting for {counted(overview.operations, 'operation')}"
        case Phase.ASKING:
            return f"Quitting: {counted(overview.operations, 'operation')} still running, what now?"
        case Phase.FORCING:
            return "Quitting: what is in flight resumes at the next launch"
        case _:
            return "Quitting"


def _working(overview: Overview) -> str:
    failed = f"{overview.failed:,} failed" if overview.failed else ""
    if overview.paused:
        waiting = f", {counted(overview.queued, 'run')} waiting" if overview.queued else ""
        return _joined(f"Paused{waiting}", failed)
    if overview.in_flight:
        return _joined(f"Syncing {counted(overview.in_flight, 'run')}{_progress(overview)}", failed)
    if overview.unreachable:
        return _joined(f"Waiting: {_unreachable(overview.unreachable)}", failed)
    if overview.queued:
        return _joined(f"Waiting: {counted(overview.queued, 'run')}", failed)
    if overview.sessions:
        return _joined(f"Idle, {counted(overview.sessions, 'session')} open", failed)
    return failed or "Idle"


def _progress(overview: Overview) -> str:
    done = "" if overview.percent is None else f", {min(99.0, overview.percent):.0f} %"
    return done if not overview.left_s else f"{done}, {about(overview.left_s)} left"


def _unreachable(destinations: tuple[tuple[str, WaitReason], ...]) -> str:
    named = [f"{_plain(name)} {_NEEDS.get(why, 'not ready')}" for name, why in destinations[:_NAMED]]
    more = len(destinations) - len(named)
    return ", ".join([*named, f"{more} more"] if more else named)


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _plain(name: str) -> str:
    """A name may hold anything; in a menu it stays in its line."""
    return "".join(char if char.isprintable() else "?" for char in name)

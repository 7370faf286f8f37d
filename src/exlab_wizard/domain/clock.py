"""The one text form of time: UTC, millisecond width, so that times compare as text and people can read them.

Nothing here reads a clock. The floors above get a `Clock` to read one with.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

CLOCK_STEP_TOLERANCE_SECONDS = 1.0


class Clock(Protocol):
    """Both clocks of a machine: wall time jumps, monotonic time does not."""

    def now(self) -> datetime:
        """Return wall time, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back; their zero has no meaning."""


class UnreadableTime(datetime):
    """A time that was typed with SQL and is none: everything displays its text; in calculations it is in 1970."""

    text: str | None = None


def to_text(moment: datetime) -> str:
    """Return `moment` (aware) as `YYYY-MM-DDTHH:MM:SS.mmmZ`, 24 characters."""
    if isinstance(moment, UnreadableTime) and moment.text is not None:
        return moment.text
    return f"{moment.astimezone(UTC).isoformat(timespec='milliseconds')[:23]}Z"


def from_text(text: str) -> datetime:
    """Return the aware UTC datetime that `to_text` wrote.

    Raises:
        ValueError: the text is not of that form.
    """
    moment = datetime.fromisoformat(text)
    try:
        return moment.astimezone(UTC)
    except (OverflowError, OSError) as error:  # before the year 1, after 9999, or out of the system's range
        msg = f"{text!r} is out of range"
        raise ValueError(msg) from error


def time_typed(text: str) -> datetime:
    """Return the datetime of `text`, which may have been typed with SQL: one bad time does not fail a whole list."""
    try:
        return from_text(text)
    except ValueError:
        time = UnreadableTime(1970, 1, 1, tzinfo=UTC)
        time.text = text
        return time


def clock_step(wall_elapsed: timedelta, monotonic_elapsed_s: float) -> timedelta:
    """Return by how much the wall clock was set between two readings, or zero.

    Time spent asleep counts as a step, since the monotonic clock stood still. Differences up to
    `CLOCK_STEP_TOLERANCE_SECONDS` are the slewing of NTP and the jitter of a busy machine.
    """
    step = wall_elapsed - timedelta(seconds=monotonic_elapsed_s)
    return step if abs(step.total_seconds()) > CLOCK_STEP_TOLERANCE_SECONDS else timedelta(0)

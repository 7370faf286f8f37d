"""The bandwidth limit at a given moment of the week.

Without a schedule the limit always applies; with one it applies only inside the named hours. It is evaluated
again while a transfer runs, so that a job which starts before the working day slows down when that begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from typing import Final

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class WeeklyHours:
    """Hours of the week, in local time. `end` at or before `start` runs past midnight; `days` names the start's day."""

    days: frozenset[int]
    start: time
    end: time

    def contains(self, moment: datetime) -> bool:
        """Return whether local `moment` lies inside; the start is included, the end is not."""
        today, yesterday = moment.weekday(), (moment.weekday() - 1) % 7
        clock = moment.time()
        if self.start < self.end:
            return today in self.days and self.start <= clock < self.end
        return (today in self.days and clock >= self.start) or (yesterday in self.days and clock < self.end)


def parse_days(text: str) -> frozenset[int]:
    """Return weekday numbers (Monday is 0) of `mon-fri`, `sat`, `mon,wed-fri`; `fri-mon` runs over the week's end.

    Raises:
        ValueError: a day is unknown; the message says which are known.
    """
    days: set[int] = set()
    for part in text.lower().replace(" ", "").split(","):
        first, _, last = part.partition("-")
        for name in (first, last or first):
            if name not in DAYS:
                msg = f"unknown day {name!r}; known are {', '.join(DAYS)}"
                raise ValueError(msg)
        start, end = DAYS.index(first), DAYS.index(last or first)
        days.update((start + later) % 7 for later in range((end - start) % 7 + 1))
    return frozenset(days)


def limit_at(limit_bytes_s: float | None, schedule: tuple[WeeklyHours, ...], local: datetime) -> float | None:
    """Return bytes per second allowed at local time `local`; None is no limit."""
    if limit_bytes_s is None or not schedule:
        return limit_bytes_s
    return limit_bytes_s if any(window.contains(local) for window in schedule) else None

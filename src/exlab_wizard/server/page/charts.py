"""Charts as data that a template draws as SVG: bars on a readable scale, in the local time zone. Pure.

Coordinates are units of the picture, which is `WIDTH` by `HEIGHT`; colours are in the style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

from exlab_wizard.domain.text.amounts import elapsed, plural, size
from exlab_wizard.store.reports.metrics import DrainDuration, Quarter

WIDTH: Final = 720.0
HEIGHT: Final = 240.0
LEFT: Final = 98.0
RIGHT: Final = 18.0
TOP: Final = 14.0
BOTTOM: Final = 34.0
HOURS: Final = 24
DAYS: Final = 30
_HOURS_APART: Final = 3
_DAYS_APART: Final = 5
_SHARE_OF_BAR: Final = 0.7
_LEAST: Final = 2.0
"""The least height of a bar, so that a small value is visible."""
_MOST_LINES: Final = 4


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, and its row in the table; `label` is at the axis, where there is room for it."""

    amount: float
    label: str
    name: str
    value: str
    sign: str = ""
    x: float = 0
    y: float = 0
    width: float = 0
    height: float = 0


@dataclass(frozen=True, slots=True)
class Chart:
    """The content of picture and table; `lines` are those of the scale, each with its place and label."""

    bars: list[Bar]
    lines: list[tuple[float, str]]
    empty: bool


def by_hour(quarters: Iterable[Quarter], now: datetime, zone: tzinfo | None = None) -> Chart:
    """Return bytes of the runs verified in each of the last 24 hours, the present one included.

    `zone` is the local one unless given.
    """
    present = now.astimezone(zone).replace(minute=0, second=0, microsecond=0).astimezone(UTC)
    # Counted in UTC and named in local time: where the clock is set back, one name occurs twice.
    starts = [present - timedelta(hours=back) for back in range(HOURS - 1, -1, -1)]
    bars = []
    for start, (amount, runs) in zip(starts, _summed(starts, quarters), strict=True):
        at = start.astimezone(zone)
        label = f"{at:%H}" if at.hour % _HOURS_APART == 0 else ""
        bars.append(Bar(amount, label, f"{at:%Y-%m-%d %H:%M}", _told(amount, runs)))
    return _chart(bars, _bytes_step, _round_size)


def by_day(quarters: Iterable[Quarter], now: datetime, zone: tzinfo | None = None) -> Chart:
    """Return bytes of the runs verified on each of the last 30 days, today included; `zone` as for `by_hour`."""
    today = now.astimezone(zone).date()
    days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    bars = []
    sums = _summed([midnight(day, zone) for day in days], quarters)
    for back, (day, (amount, runs)) in enumerate(zip(days, sums, strict=True), 1 - DAYS):
        label = f"{day.day} {day:%b}" if back % _DAYS_APART == 0 else ""
        bars.append(Bar(amount, label, f"{day:%a %Y-%m-%d}", _told(amount, runs)))
    return _chart(bars, _bytes_step, _round_size)


def first_day(now: datetime, zone: tzinfo | None = None) -> datetime:
    """Return when the first of the days of `by_day` begins, UTC."""
    return midnight(now.astimezone(zone).date() - timedelta(days=DAYS - 1), zone)


def of_drains(drains: Sequence[DrainDuration], zone: tzinfo | None = None) -> Chart:
    """Return how long quits took, from Quit to the exit receipt; `drains` are the newest first."""
    bars = []
    for drain in reversed(drains):
        seconds, at = drain.took_s or 0.0, drain.draining_since.astimezone(zone)
        bars.append(Bar(seconds, "", f"{at:%Y-%m-%d %H:%M}", elapsed(seconds), drain.end_reason))
    return _chart(bars, _round_step, elapsed)


def midnight(day: date, zone: tzinfo | None = None) -> datetime:
    """Return when `day` begins, UTC; `zone` as for `by_hour`."""
    # Without a zone this is local time, which `astimezone` converts by the rules of the system.
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _summed(starts: Sequence[datetime], quarters: Iterable[Quarter]) -> list[tuple[int, int]]:
    """Return bytes and runs from each of `starts` to the next one; the last has no end."""
    sums = [(0, 0) for _ in starts]
    for quarter in quarters:
        at = sum(start <= quarter.at for start in starts) - 1
        if at >= 0:
            sums[at] = (sums[at][0] + quarter.size, sums[at][1] + quarter.runs)
    return sums


def _told(amount: int, runs: int) -> str:
    return f"{size(amount)}, {plural(runs, 'run')}"


def _round_size(amount: float) -> str:
    return size(amount).replace(".0 ", " ")


def _round_step(top: float) -> float:
    """Return a round number of which at most four make `top`."""
    magnitude = 10.0 ** math.floor(math.log10(top / _MOST_LINES))
    return next(magnitude * factor for factor in (1, 2, 5, 10) if top / (magnitude * factor) <= _MOST_LINES)


def _bytes_step(top: float) -> float:
    unit = 1024.0 ** math.floor(math.log(max(top / _MOST_LINES, 1), 1024))
    return max(_round_step(top / unit), 1 / unit) * unit


def _chart(bars: list[Bar], step_of: Callable[[float], float], told: Callable[[float], str]) -> Chart:
    top = max((bar.amount for bar in bars), default=0)
    if not top:
        return Chart(bars, [], empty=True)
    step = step_of(top)
    steps = math.ceil(round(top / step, 6))
    floor, height = HEIGHT - BOTTOM, HEIGHT - BOTTOM - TOP
    lines = [(round(floor - height * at / steps, 1), told(step * at) if at else "0") for at in range(steps + 1)]
    apart = (WIDTH - LEFT - RIGHT) / len(bars)
    width = round(apart * _SHARE_OF_BAR, 1)
    drawn = []
    for at, bar in enumerate(bars):
        high = max(height * bar.amount / (steps * step), _LEAST) if bar.amount else 0.0
        x = LEFT + apart * (at + (1 - _SHARE_OF_BAR) / 2)
        drawn.append(replace(bar, x=round(x, 1), y=round(floor - high, 1), width=width, height=round(high, 1)))
    return Chart(drawn, lines, empty=False)

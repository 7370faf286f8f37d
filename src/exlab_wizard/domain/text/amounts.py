"""Numbers for people: sizes, rates, time spans, estimates, percents, counts. Pure."""

from __future__ import annotations

import math
from typing import Final

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP: Final = 1024
_EXACT_BELOW: Final = 10
_MINUTE: Final = 60
_HOUR: Final = 3_600
_DAY: Final = 86_400
_TIMES: Final = {1: "once", 2: "twice"}
_IRREGULAR: Final = {"is": "are", "was": "were", "has": "have"}


def size(count: float) -> str:
    """Return bytes as `812 B` or `3.4 GiB`."""
    *smaller, largest = _UNITS
    for unit in smaller:
        digits = 0 if unit == "B" else 1
        if round(count, digits) < _STEP:
            return f"{count:.{digits}f} {unit}"
        count /= _STEP
    return f"{count:.1f} {largest}"


def rate(bytes_s: float) -> str:
    """Return bytes per second as `3.4 MiB/s`."""
    return f"{size(bytes_s)}/s"


def duration(seconds: float) -> str:
    """Return a measured time in its two largest units, such as `1 min 5 s`; a zero in the second is left out."""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min{_unless_zero(whole % _MINUTE, 's')}"
    if whole < _DAY:
        return f"{whole // _HOUR} h{_unless_zero(whole % _HOUR // _MINUTE, 'min')}"
    return f"{plural(whole // _DAY, 'day')}{_unless_zero(whole % _DAY // _HOUR, 'h')}"


def elapsed(seconds: float) -> str:
    """Return a time or a limit, with three digits while it is short: `0.031 s`, then as `duration`."""
    return f"{seconds:.3g} s" if seconds < _EXACT_BELOW else duration(seconds)


def rounded(seconds: float) -> str:
    """Return a time in its largest unit, such as `5 min`; at least one second."""
    if round(seconds) < _MINUTE:
        return f"{max(1, round(seconds))} s"
    if round(seconds / _MINUTE) < _MINUTE:
        return f"{round(seconds / _MINUTE)} min"
    if round(seconds / _HOUR) < _DAY // _HOUR:
        return f"{round(seconds / _HOUR)} h"
    return plural(round(seconds / _DAY), "day")


def about(seconds: float) -> str:
    """Return an estimate, such as `about 5 min`."""
    return f"about {rounded(seconds)}"


def percent(share: float) -> str:
    """Return 0 to 100 as `41%`, rounded down: only what is complete is 100%."""
    return f"{math.floor(min(100.0, max(0.0, share)))}%"


def number(count: int) -> str:
    """Return a count with its thousands apart: `12,345`."""
    return f"{count:,}"


def plural(count: int, noun: str) -> str:
    """Return `1 run` or `2 runs`."""
    return f"{number(count)} {noun}" if count == 1 else f"{number(count)} {noun}s"


def verb(count: int, singular: str) -> str:
    """Return the verb for `count` things: `waits` for one, `wait` for more."""
    return singular if count == 1 else _IRREGULAR.get(singular, singular.removesuffix("s"))


def times(count: int) -> str:
    """Return `once`, `twice`, `3 times`."""
    return _TIMES.get(count, f"{number(count)} times")


def _unless_zero(count: int, unit: str) -> str:
    return f" {count} {unit}" if count else ""

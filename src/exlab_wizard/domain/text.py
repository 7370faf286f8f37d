"""Sizes, time spans and counts in words for people, the same wherever they are shown. Pure."""

from __future__ import annotations

from typing import Final

_STEP: Final = 1024.0
_MINUTE: Final = 60
_HOUR: Final = 3_600
_DAY: Final = 86_400


def size(count: float) -> str:
    """Return bytes as `812 B`, `3.4 GiB`."""
    if count < _STEP:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= _STEP
        if count < _STEP:
            return f"{count:.1f} {unit}"
    return f"{count / _STEP:.1f} TiB"


def duration(seconds: float) -> str:
    """Return a time span with its two largest units."""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def plural(count: int, noun: str) -> str:
    """Return `1 run`, `2 runs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def plain(text: str) -> str:
    r"""Return `text` with all that is not printable as escapes: a line break is `\n`, a right-to-left mark `\u202e`."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode() for char in text
    )

"""Crash points: the numbered system calls of one act, as the kill shim wrote them down, and which of them to kill at.

A point is one call that changes a file of the state dir or the destination. Where threads race, number N of a replay
may be another call than number N of the count: what was hit is what the shim wrote, never what was aimed at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

EDGE: Final = 8
SIFT: Final = 64


@dataclass(frozen=True, slots=True)
class Point:
    """Call `number` of the process, made by `thread`."""

    number: int
    thread: int
    call: str
    path: str

    def __str__(self) -> str:
        return f"{self.number} {self.call} {self.path}"


@dataclass(frozen=True, slots=True)
class Aim:
    """Where to kill: before call `number`, or after it."""

    number: int
    after: bool

    def __str__(self) -> str:
        return f"{self.number}{'+' if self.after else ''}"


def read_points(log: Path) -> list[Point]:
    """Return what the shim wrote down, in the order of the numbers."""
    if not log.exists():
        return []
    lines = (line.split(" ", 3) for line in log.read_text("utf-8", errors="surrogateescape").splitlines())
    return sorted((Point(int(n), int(thread), call, path) for n, thread, call, path in lines), key=lambda p: p.number)


def of_the_start(points: Sequence[Point]) -> list[Point]:
    """Return the points of a launch up to where it is ready: until then only one thread writes."""
    first = points[0].thread
    end = next((at for at, point in enumerate(points) if point.thread != first), len(points))
    return list(points[:end])


def of_the_work(points: Sequence[Point]) -> list[Point]:
    """Return the points of a launch that come after its start."""
    return list(points[len(of_the_start(points)) :])


def thinned(points: Sequence[Point]) -> list[Point]:
    """Of a long row of pages written to the write-ahead log keep both ends, and one in 64 between.

    A launch grows the log by thousands of pages that no commit follows: one more or less is the same to who finds it.
    """
    return _thinned(points, "-wal", EDGE, SIFT)


def turning(points: Sequence[Point]) -> list[Point]:
    """Keep the first and the last of each row of equal calls by one thread on one file: where one thing ends."""
    return _thinned(points, "", 1, len(points))


def _thinned(points: Sequence[Point], of: str, edge: int, step: int) -> list[Point]:
    kept: list[Point] = []
    for _, row in groupby(points, key=lambda point: (point.thread, point.call, point.path)):
        equal = list(row)
        if not equal[0].path.endswith(of):
            kept += equal
            continue
        last = max(edge, len(equal) - edge)
        kept += [*equal[:edge], *equal[edge + step : last : step], *equal[last:]]
    return kept


def both_sides(points: Sequence[Point]) -> list[Aim]:
    """Return two aims for each point."""
    return [Aim(point.number, after) for point in points for after in (False, True)]


def in_turn(points: Sequence[Point]) -> list[Aim]:
    """Return one aim for each point: before one, after the next."""
    return [Aim(point.number, after=at % 2 == 1) for at, point in enumerate(points)]


def spread(aims: Sequence[Aim], count: int) -> list[Aim]:
    """Return `count` of `aims`, evenly spread, the first and the last among them."""
    if count >= len(aims):
        return list(aims)
    return [aims[round(at * (len(aims) - 1) / max(1, count - 1))] for at in range(count)]


def dealt(aims: Sequence[Aim], share: int, shares: int) -> Iterator[Aim]:
    """Yield one of `shares` equal parts, each spread over the whole."""
    yield from aims[share::shares]

"""Crash points: the numbered system calls of one act, as the kill shim wrote them down, and which of them to kill at.

A point is one call that changes a file of the state dir or the destination. Where threads race, their calls come in
another order at each replay; so an aim names the call and its path, and what was hit is what the shim wrote.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Final

EDGE: Final = 8
SIFT: Final = 64


VARIES: Final = re.compile(r"(?<=[.-])\d{8}T\d{9}Z|(?<=\.)\d+(?=\.)")
"""What is different in the names of each run: times and pids."""
SPECIAL: Final = re.compile(r"[\\[*]")


@dataclass(frozen=True, slots=True)
class Point:
    """Call `number` of the process, made by `thread`; the `nth` of that name on that path."""

    number: int
    thread: int
    call: str
    path: str
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.number} {self.call} {self.path}"

    @property
    def place(self) -> str:
        """A pattern that matches the path in every run."""
        return VARIES.sub("*", SPECIAL.sub(r"\\\g<0>", self.path))


@dataclass(frozen=True, slots=True)
class Aim:
    """Where to kill: before or after the `nth` call of that name on a path that matches the pattern `place`."""

    call: str
    place: str
    nth: int
    after: bool = False

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.call} {self.nth} of {self.place}"

    @property
    def variables(self) -> dict[str, str]:
        """What the kill shim is told."""
        return {"CRASH_AT": f"{self.nth}{'+' if self.after else ''}", "CRASH_CALL": self.call, "CRASH_PATH": self.place}


def at(point: Point, *, after: bool) -> Aim:
    """Return the aim at a point."""
    return Aim(point.call, point.place, point.nth, after)


def read_points(log: Path) -> list[Point]:
    """Return what the shim wrote down, in the order of the numbers."""
    if not log.exists():
        return []
    lines = (line.split(" ", 3) for line in log.read_text("utf-8", errors="surrogateescape").splitlines())
    points = sorted((Point(int(n), int(thread), call, path) for n, thread, call, path in lines), key=lambda p: p.number)
    seen: Counter[tuple[str, str]] = Counter()
    for index, point in enumerate(points):
        seen[point.call, point.place] += 1
        points[index] = replace(point, nth=seen[point.call, point.place])
    return points


def of_the_start(points: Sequence[Point]) -> list[Point]:
    """Return the points of a launch up to where it is ready: until then only one thread writes."""
    first = points[0].thread
    end = next((index for index, point in enumerate(points) if point.thread != first), len(points))
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
    return [at(point, after=after) for point in points for after in (False, True)]


def in_turn(points: Sequence[Point]) -> list[Aim]:
    """Return one aim for each point: before one, after the next."""
    return [at(point, after=turn % 2 == 1) for turn, point in enumerate(points)]


def spread(aims: Sequence[Aim], count: int) -> list[Aim]:
    """Return `count` of `aims`, evenly spread, the first and the last among them."""
    if count >= len(aims):
        return list(aims)
    return [aims[round(step * (len(aims) - 1) / max(1, count - 1))] for step in range(count)]


def dealt(aims: Sequence[Aim], share: int, shares: int) -> Iterator[Aim]:
    """Yield one of `shares` equal parts, each spread over the whole."""
    yield from aims[share::shares]

"""The full enumeration in several processes: each prepares what it needs, and kills at its share of every scenario.

A share that cannot be played is a violation, never less work.
"""

from __future__ import annotations

import itertools
import math
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from tests.crash.system_calls.crash_points import Point, at, both_sides, dealt, spread, thinned
from tests.crash.system_calls.enumeration import Enumeration, Tally
from tests.crash.system_calls.scenarios import ALL, Recovery
from tests.support.nursery import Nursery

RECOVERY_AGAIN: Final = "recovery, again"
SHARES: Final = 30
"""Each spread over the whole scenario, so that what a bound on the time leaves out is missing everywhere a little."""
AGAIN: Final = 4
"""Kills in the second recovery, for each point of the first."""


@dataclass(slots=True)
class Row:
    """What came of one scenario, or of a share of it; `points` are the calls that were enumerated."""

    name: str
    points: Counter[str] = field(default_factory=Counter)
    aimed: int = 0
    landed: Counter[str] = field(default_factory=Counter)
    beyond: int = 0
    violations: list[str] = field(default_factory=list)
    left_out: bool = False

    def count(self, tally: Tally, aimed: int) -> None:
        """Add what some kills came to."""
        self.aimed += aimed
        self.landed += calls(tally.landed)
        self.beyond += len(tally.beyond)
        self.violations += tally.violations

    def add(self, other: Row) -> None:
        """Add another share; its points are the same points."""
        self.points = self.points or other.points
        self.aimed += other.aimed
        self.landed += other.landed
        self.beyond += other.beyond
        self.violations += other.violations


def calls(points: Sequence[Point]) -> Counter[str]:
    """Return how many points there are of each call."""
    return Counter(point.call for point in points)


class Player:
    """What one process has: its fork server, and the scenarios that it has prepared."""

    here: ClassVar[Player]

    def __init__(self, home: Path, shim: Path, *, every: bool) -> None:
        self._home = home
        self._every = every
        home.mkdir()
        self._nursery = Nursery(home / "nursery.log", preload=shim)
        self._known: dict[str, Enumeration] = {}
        self._tries = itertools.count(1)

    def play(self, number: int, share: int) -> Row:
        """Kill at one share of the points of scenario `number`."""
        enumeration = self._prepared(number)
        row = Row(enumeration.scenario.name, calls(enumeration.points))
        aims = list(dealt(both_sides(self._chosen(enumeration)), share, SHARES))
        row.count(enumeration.kill_at(aims), len(aims))
        return row

    def play_again(self, share: int) -> Row:
        """Kill in the recovery from each of a share of the kills in a recovery."""
        once = self._prepared(ALL.index(Recovery))
        row = Row(RECOVERY_AGAIN, calls(once.points))
        firsts = [at(point, after=False) for point in self._chosen(once)]
        for turn, first in list(enumerate(firsts))[share::SHARES]:
            again = once.after(first)
            aims = spread(both_sides(self._chosen(again))[turn % AGAIN :], AGAIN)
            row.count(again.kill_at(aims), len(aims))
        return row

    def _prepared(self, number: int) -> Enumeration:
        if ALL[number].name not in self._known:
            home = self._home / f"{number}, try {next(self._tries)}"
            self._known[ALL[number].name] = Enumeration.of(ALL[number](), home, self._nursery)
        return self._known[ALL[number].name]

    def _chosen(self, enumeration: Enumeration) -> list[Point]:
        return enumeration.points if self._every else thinned(enumeration.points)


def enter(home: Path, shim: Path, every: bool) -> None:  # noqa: FBT001 - a pool passes what it has by position
    """Prepare this process to play."""
    Player.here = Player(home / f"player-{multiprocessing.current_process().pid}", shim, every=every)


def play(number: int, share: int) -> Row:
    """Play in the process that was prepared."""
    return Player.here.play(number, share)


def play_again(share: int) -> Row:
    """Play in the process that was prepared."""
    return Player.here.play_again(share)


def full_run(  # noqa: PLR0913 - what is run, by whom and for how long
    home: Path, shim: Path, names: Sequence[str], workers: int, *, every: bool, minutes: float | None = None
) -> Iterator[Row]:
    """Yield one row for each share of the scenarios called `names`, as they end; those left out come at the end."""
    over = time.monotonic() + (60 * minutes if minutes else math.inf)
    with ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=enter, initargs=(home, shim, every)
    ) as pool:
        shares: dict[Future[Row], str] = {}
        for share in range(SHARES):
            for number, scenario in enumerate(ALL):
                if scenario.name in names:
                    shares[pool.submit(play, number, share)] = scenario.name
            if RECOVERY_AGAIN in names:
                shares[pool.submit(play_again, share)] = RECOVERY_AGAIN
        for done in as_completed(shares):
            if time.monotonic() > over:
                for waiting in shares:
                    waiting.cancel()
            try:
                yield Row(shares[done], left_out=True) if done.cancelled() else done.result()
            except AssertionError as error:
                yield Row(shares[done], violations=[f"{shares[done]}: a share was not played: {error}"])

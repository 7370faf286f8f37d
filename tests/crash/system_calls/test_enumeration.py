"""Killed at every system call that changes a file: the launch after it loses nothing and does nothing twice.

Here an even cut of the points is killed at, six in each scenario; `make recovery-full` kills at all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.crash.system_calls.crash_points import Aim, both_sides, in_turn, spread, turning
from tests.crash.system_calls.enumeration import Enumeration, Tally
from tests.crash.system_calls.full_run import RECOVERY_AGAIN
from tests.crash.system_calls.scenarios import ALL, Recovery, Scenario
from tests.crash.system_calls.summary import PROPERTY, Share
from tests.support.nursery import Nursery

Note = Callable[[str, object], None]

pytestmark = pytest.mark.slow

SIZE = 6
"""Kills in each scenario."""
BEYOND = 1
"""So many of them may find no call of their kind in the replay: racing threads do not always need one."""
AGAIN = 2
"""So many points of a recovery are killed at, and so many of the recovery after that."""


class Prepared:
    """The scenarios of this process, each prepared when it is first asked for."""

    def __init__(self, home: Path, nursery: Nursery) -> None:
        self._home, self._nursery = home, nursery
        self._known: dict[str, Enumeration] = {}
        self._tries = itertools.count(1)

    def of(self, scenario: Scenario) -> Enumeration:
        """Return what was enumerated of `scenario`."""
        if scenario.name not in self._known:
            # A folder for each try: what one that failed has left would be blamed for the failure of the next.
            home = self._home / f"{scenario.name}, try {next(self._tries)}"
            self._known[scenario.name] = Enumeration.of(scenario, home, self._nursery)
        return self._known[scenario.name]


@pytest.fixture(scope="module")
def prepared(theatre: Path, nursery: Nursery) -> Prepared:
    """Return what the tests of this module share."""
    return Prepared(theatre, nursery)


def cut(enumeration: Enumeration, size: int) -> list[Aim]:
    """Return `size` aims, evenly spread over where one thing ends and another begins."""
    points = turning(enumeration.points)
    return spread(in_turn(points) if len(points) >= size else both_sides(points), size)


def note(record: Note, scenario: str, enumeration: Enumeration, tally: Tally) -> None:
    """Say what came of some kills, here and in the summary of the whole run."""
    print(f"{enumeration.name}: {len(enumeration.points)} points enumerated; {tally}")  # noqa: T201 - shown with -s
    share: Share = {
        "scenario": scenario,
        "points": len(enumeration.points),
        "landed": len(tally.landed),
        "beyond": len(tally.beyond),
        "violations": len(tally.violations),
    }
    record(PROPERTY, share)


@pytest.mark.sampled(cases=6)
@pytest.mark.parametrize("kind", ALL, ids=[kind.name for kind in ALL])
def test_killed_at_any_call_everything_still_comes_to_its_good_end_once(
    kind: type[Scenario], prepared: Prepared, record_property: Note
) -> None:
    enumeration = prepared.of(kind())
    tally = enumeration.kill_at(cut(enumeration, SIZE))
    note(record_property, kind.name, enumeration, tally)
    assert tally.violations == []
    assert len(tally.beyond) <= BEYOND
    assert len(tally.landed) + len(tally.beyond) == SIZE


@pytest.mark.parametrize("first", range(AGAIN))
def test_killed_in_the_recovery_from_a_kill_the_third_launch_recovers(
    first: int, prepared: Prepared, record_property: Note
) -> None:
    once = prepared.of(Recovery())
    again = once.after(cut(once, AGAIN)[first])
    tally = again.kill_at(cut(again, AGAIN))
    note(record_property, RECOVERY_AGAIN, again, tally)
    assert tally.violations == []
    assert len(tally.landed) == AGAIN

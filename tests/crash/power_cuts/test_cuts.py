"""Whatever the disk has kept when the power went: nothing acknowledged is lost, nothing verified missing or damaged.

Each scenario is recorded once, and every state that its record can leave is looked at as it lies there. On a seeded
choice of them the real program is launched, as after the restart of the machine, and must bring every run home.
`EXLAB_POWER_LAUNCHES` says on how many of each scenario, or `all`; with it every call is tried alone at each instant.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path
from typing import Final

import pytest
from tests.crash.power_cuts.cuts import QUICK, THOROUGH, Cut, Left, again, every_cut
from tests.crash.power_cuts.image import digest, lay_out
from tests.crash.power_cuts.machine import Machine, Recording
from tests.crash.power_cuts.promises import Promises
from tests.crash.power_cuts.scenarios import SCENARIOS
from tests.support.nursery import Nursery

WANTED: Final = os.environ.get("EXLAB_POWER_LAUNCHES", "")
LAUNCHES: Final = 5
SEED: Final = int(os.environ.get("EXLAB_TEST_SEED", "1"))
SHOWN: Final = 5

FILE_BY_FILE: Final = ("copy", "merge", "force_quit", "killed_while_copying", "killed_while_merging")
ROLLBACK: Final = ("first_commands", "lease", "killed_after_the_rename", "upkeep", "restore")
CASES: Final = (
    *((name, "wal", True) for name in SCENARIOS),
    *((name, "wal", False) for name in (SCENARIOS if WANTED else FILE_BY_FILE)),
    *((name, "delete", False) for name in (SCENARIOS if WANTED else ROLLBACK)),
)
"""Scenario, journal mode, and whether the destination can be synced as a whole, which CIFS and FUSE cannot."""

pytestmark = [pytest.mark.slow, *([pytest.mark.timeout(0)] if WANTED else [])]


class Found:
    """What the states of one recording came to."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.states = 0
        self.distinct: dict[str, Cut] = {}
        """Of states that are equal, the last: by then the world had been told the most."""
        self.broken: list[str] = []

    def look(self, promises: Promises) -> None:
        """Look at every state as it lies there."""
        for left in every_cut(self._recording, THOROUGH if WANTED else QUICK, SEED):
            self.states += 1
            self.distinct[digest(left.image)] = left.cut
            self._note(left, promises.at_once(left))

    def launch(self, machine: Machine, promises: Promises) -> int:
        """Launch the program on a choice of the states, each kind of cut in turn, and return on how many."""
        chance = random.Random(SEED)  # noqa: S311 - which states to launch on, no secret
        kinds: dict[str, list[Cut]] = {}
        for cut in sorted(self.distinct.values(), key=lambda cut: (cut.position, cut.how)):
            kinds.setdefault(cut.how, []).append(cut)
        for cuts in kinds.values():
            chance.shuffle(cuts)
        in_turn = [cut for cuts in zip_longest(*kinds.values()) for cut in cuts if cut is not None]
        chosen = in_turn if WANTED == "all" else in_turn[: int(WANTED or LAUNCHES)]
        for left in again(self._recording, chosen):
            lay_out(left.image, machine.disks)
            self._note(left, promises.after_launch(left))
        return len(chosen)

    def _note(self, left: Left, broken: Iterable[str]) -> None:
        at = f"after call {left.cut.position} ({self._recording.records[left.cut.position - 1]}), on the disk "
        self.broken += [f"{sentence} [{at}{left.cut.how}]" for sentence in broken]


@pytest.mark.sampled(cases=5)
@pytest.mark.parametrize(("name", "journal_mode", "syncfs"), CASES)
def test_after_a_power_cut_nothing_acknowledged_is_lost_and_every_run_arrives(
    home: Path,
    nursery: Nursery,
    name: str,
    journal_mode: str,
    syncfs: bool,  # noqa: FBT001 - as parametrize gives it
) -> None:
    machine = Machine(home, nursery, journal_mode=journal_mode, syncfs=syncfs)
    SCENARIOS[name](machine)
    recording, promises = machine.recording(), Promises(machine)
    found = Found(recording)
    found.look(promises)
    launches = 0 if found.broken else found.launch(machine, promises)
    print(  # noqa: T201 - the figures of a full run
        f"power cuts: {name}, {journal_mode}{'' if syncfs else ', file by file'}: {len(recording.records)} calls,"
        f" {found.states} states, {len(found.distinct)} distinct, {launches} launches, {len(found.broken)} violations"
    )
    assert found.broken[:SHOWN] == [], f"{len(found.broken)} in all"

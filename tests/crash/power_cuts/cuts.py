"""At which instants the power goes, and what of the pending changes is then on the disk.

At every sync, rename, link, removal and answer to the world, before it and after, and at some instants between: nothing
of what is pending, all of it, only the names, only lengths without bytes, seeded random parts, each single call alone
and all but it, and the last write torn.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from tests.crash.power_cuts.disk import Change, Growth
from tests.crash.power_cuts.image import Image
from tests.crash.power_cuts.machine import Recording, Told
from tests.crash.power_cuts.record import NAMES, SYNCS

_EVERY: Final = 16
"""Of the records between, one in so many is an instant too."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The power goes after `position` records; of the pending changes the `kept` ones are on the disk."""

    position: int
    kept: frozenset[int]
    how: str


@dataclass(frozen=True, slots=True)
class Left:
    """What a cut leaves: the files, and what the world had been told by then."""

    cut: Cut
    image: Image
    told: Told


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is tried at each instant."""

    random_parts: int
    singles: int


QUICK: Final = Effort(random_parts=1, singles=2)
THOROUGH: Final = Effort(random_parts=6, singles=1_000)


def every_cut(recording: Recording, effort: Effort, seed: int) -> Iterator[Left]:
    """Yield what each cut leaves, in the order of the instants; the same seed chooses the same of the same record."""
    chance = random.Random(seed)  # noqa: S311 - which cuts to try, no secret
    disk = recording.begin()
    for position, record in enumerate(recording.records, 1):
        disk.play(record)
        following = recording.records[position].call if position < len(recording.records) else None
        here = record.call in SYNCS | NAMES or following in SYNCS or record.path.startswith(str(recording.told))
        if not here and position % _EVERY:
            continue
        told = recording.told_at(disk)
        for how, kept in _parts(list(disk.pending.values()), effort, chance):
            cut = Cut(position, frozenset(change.number for change in kept), how)
            yield Left(cut, disk.after_cut(cut.kept), told)


def again(recording: Recording, cuts: Collection[Cut]) -> Iterator[Left]:
    """Yield what the given cuts leave."""
    disk = recording.begin()
    for cut in sorted(cuts, key=lambda cut: cut.position):
        while disk.played < cut.position:
            disk.play(recording.records[disk.played])
        yield Left(cut, disk.after_cut(cut.kept), recording.told_at(disk))


def _parts(pending: list[Change], effort: Effort, chance: random.Random) -> Iterator[tuple[str, Collection[Change]]]:
    yield "nothing of it", ()
    yield "all of it", pending
    yield "names only", [change for change in pending if change.is_name]
    yield "names and lengths", [change for change in pending if change.is_name or isinstance(change.effect, Growth)]
    yield "all but names", [change for change in pending if not change.is_name]
    for _ in range(effort.random_parts):
        share = chance.choice((0.1, 0.5, 0.9))
        yield "a random part", [change for change in pending if chance.random() < share]
    calls = sorted({change.record for change in pending})
    for call in chance.sample(calls, min(effort.singles, len(calls))):
        yield "one call alone", [change for change in pending if change.record == call]
        yield "all but one call", [change for change in pending if change.record != call]
    last = [change for change in pending if change.is_data and change.record == calls[-1]] if calls else []
    if len(last) > 1:
        torn = set(last[len(last) // 2 :])
        yield "the last write torn", [change for change in pending if change not in torn]
        yield "the last write torn, its end first", [change for change in pending if change not in set(last) - torn]

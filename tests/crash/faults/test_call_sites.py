"""What a failing system call does to a job, by the place it fails at and the error it fails with.

The tables are the specification; every row is tried on the real program. A fault that passes costs at most one attempt,
and a fault that stays leaves the documented state with a sentence that names file and remedy; lifted, the run arrives.
By default one error stands for each kind; EXLAB_FAULTS=full tries all of them, and both kinds of fault at each place.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest
from tests.crash.faults.faulty_program import BIG, SMALL, Ending, FaultyProgram, number_of
from tests.crash.faults.shim import FOREVER, Call

pytestmark = pytest.mark.slow
FULL: Final = os.environ.get("EXLAB_FAULTS") == "full"


@dataclass(frozen=True)
class Kind:
    """Errors that mean the same; how they end an attempt, and words of the sentence that says what to do."""

    errors: tuple[str, ...]
    ends: str
    words: str
    names: str = ""
    """What the sentence names, if not what the place says."""


AWAY: Final = Kind(("EIO", "ETIMEDOUT", "ESTALE"), "tried again: network", "Check the network and the NAS.")
DENIED: Final = Kind(("EACCES", "EROFS"), "failed: auth", "writable for the account that runs exlab-wizard")
NO_ROOM: Final = Kind(
    ("ENOSPC", "EDQUOT"), "waits: destination_full", "Free up space there; the job resumes automatically", "{nas}"
)
EXHAUSTED: Final = Kind(("EMFILE", "ENFILE", "ENOMEM"), "tried again: unknown", "This computer has run out")
OFFLINE: Final = Kind(("EIO", "ESTALE", "EACCES", "ENOENT"), "waits: destination_offline", "Mount the share", "{nas}")
BAD_DISK: Final = Kind(("EIO", "ESTALE", "ETIMEDOUT"), "tried again: unknown", "Check the disk that holds the run.")
UNREADABLE: Final = Kind(("EACCES",), "failed: config", "readable for the account that runs exlab-wizard")


@dataclass(frozen=True)
class Place:
    """Calls of one class on one side; `pattern` knows `{nas}`, `{run}` (its folder) and `{name}` (its last part)."""

    name: str
    calls: Call
    pattern: str
    kinds: tuple[Kind, ...]
    named: str = ""
    """What the sentence must name besides the remedy: the file, where one is to blame."""


SOURCE: Final = (
    Place("the run", Call.STAT, "{run}", (BAD_DISK, UNREADABLE), "{run}"),
    Place("the run", Call.OPEN, "{run}", (BAD_DISK, UNREADABLE, EXHAUSTED), "{run}"),
    Place("a folder of the run", Call.LIST, "{run}/folder", (BAD_DISK, UNREADABLE), "folder"),
    Place("a large file of the run", Call.OPEN, f"{{run}}/{BIG}", (BAD_DISK, UNREADABLE, EXHAUSTED), f"{{run}}/{BIG}"),
    Place("a large file of the run", Call.READ, f"{{run}}/{BIG}", (BAD_DISK,), f"{{run}}/{BIG}"),
    Place("a small file of the run", Call.OPEN, f"{{run}}/{SMALL}", (BAD_DISK, EXHAUSTED), f"{{run}}/{SMALL}"),
    Place("a small file of the run", Call.READ, f"{{run}}/{SMALL}", (BAD_DISK,), f"{{run}}/{SMALL}"),
)
LARGE: Final = f"{{nas}}/.exlab-incoming/*/{BIG}"
LITTLE: Final = f"{{nas}}/.exlab-incoming/*/{SMALL}"
INCOMING: Final = (
    Place("the incoming folder", Call.MKDIR, "{nas}/.exlab-incoming*", (AWAY, DENIED, NO_ROOM, EXHAUSTED)),
    Place("the incoming folder", Call.OPEN, "{nas}/.exlab-incoming/*[0-9]", (AWAY, DENIED, EXHAUSTED), "incoming"),
    Place("the incoming folder", Call.LIST, "{nas}/.exlab-incoming/*[0-9]", (AWAY, EXHAUSTED), "incoming"),
    Place("the incoming folder", Call.FSYNC, "{nas}/.exlab-incoming/*[0-9]", (AWAY, NO_ROOM), "incoming"),
    Place("a large copy", Call.OPEN, LARGE, (AWAY, DENIED, NO_ROOM, EXHAUSTED), BIG),
    Place("a large copy", Call.WRITE, LARGE, (AWAY, DENIED, NO_ROOM, EXHAUSTED), BIG),
    Place("a large copy", Call.FSYNC, LARGE, (AWAY, NO_ROOM), BIG),
    Place("a large copy", Call.READ, LARGE, (AWAY,), BIG),
    Place("a large copy", Call.CLOSE, LARGE, (AWAY, NO_ROOM), BIG),
    Place("a large copy", Call.DRESS, LARGE, (AWAY,), BIG),
    Place("a small copy", Call.OPEN, LITTLE, (AWAY, DENIED, NO_ROOM, EXHAUSTED), SMALL),
    Place("a small copy", Call.WRITE, LITTLE, (AWAY, DENIED, NO_ROOM, EXHAUSTED), SMALL),
    Place("a small copy", Call.READ, LITTLE, (AWAY,), SMALL),
    Place("a small copy", Call.CLOSE, LITTLE, (AWAY, NO_ROOM), SMALL),
    Place("a small copy", Call.DRESS, LITTLE, (AWAY,), SMALL),
)
OWN: Final = "{nas}/.exlab-incoming/*/.exlab-wizard"
FINAL: Final = (
    Place("checksums", Call.WRITE, f"{OWN}/checksums*", (AWAY, DENIED, NO_ROOM), ".exlab-wizard"),
    Place("checksums", Call.FSYNC, f"{OWN}/checksums*", (AWAY, NO_ROOM), ".exlab-wizard"),
    Place("the receipt", Call.RENAME, f"{OWN}/receipt*", (AWAY, DENIED, NO_ROOM), ".exlab-wizard"),
    Place("the final path", Call.STAT, "{nas}/{name}", (AWAY, DENIED), "{name}"),
    Place("the final path", Call.RENAME, "{nas}/{name}", (AWAY, DENIED, NO_ROOM, EXHAUSTED), "{name}"),
    Place("the destination", Call.FSYNC, "{nas}", (AWAY, NO_ROOM)),
    Place("the destination", Call.ROOM, "{nas}", (AWAY,)),
    Place("the marker", Call.STAT, "{nas}/.exlab-destination", (OFFLINE,)),
)


@dataclass(frozen=True)
class Case:
    """One error at one place, once or for as long as it is armed."""

    place: Place
    kind: Kind
    error: str
    lasting: bool

    def __str__(self) -> str:
        how = "lasting" if self.lasting else "once"
        return f"{self.place.name}-{self.place.calls.name}-{self.error}-{how}".lower().replace(" ", "_")


def cases() -> Iterator[Case]:
    turn = itertools.count()
    for place in (*SOURCE, *INCOMING, *FINAL):
        for kind in place.kinds:
            if FULL:
                yield from (Case(place, kind, error, lasting) for error in kind.errors for lasting in (False, True))
            else:
                number = next(turn)
                yield Case(place, kind, kind.errors[number % len(kind.errors)], lasting=number % 2 == 0)


@pytest.mark.sampled(cases=12)
@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_a_failing_call_leaves_the_documented_state_and_lifted_the_run_arrives(
    running: FaultyProgram, case: Case
) -> None:
    run = running.new_run()
    fields = {"nas": str(running.nas), "run": str(run), "name": run.name}
    pattern, times = case.place.pattern.format(**fields), FOREVER if case.lasting else 1
    with running.faults.arm(case.place.calls, pattern, number_of(case.error), times=times) as fault:
        job = running.enqueue(run)
        as_documented(running.ending(job), case, fields)
        fault.has_hit()
        if case.lasting:
            running.make_due(job)
            as_documented(running.ending(job, 2), case, fields)
    if case.kind is not OFFLINE:  # which goes on by itself within seconds; the others would take longer than a test may
        running.make_due(job)
    running.verified(job)
    assert running.arrived_whole(run)
    tried_again = case.kind.ends.startswith("tried again")
    budgets = (1 + (1 + case.lasting) * tried_again, 0, 0)
    assert running.query("SELECT attempts, interruptions, crashes FROM sync_jobs WHERE id = ?", job) == [budgets]


def as_documented(ending: Ending, case: Case, fields: dict[str, str]) -> None:
    assert ending.reason == case.kind.ends, ending
    assert case.kind.words in ending.detail
    assert (case.kind.names or case.place.named).format(**fields) in ending.detail

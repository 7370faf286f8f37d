"""Thousands of steps of several processes on one database, each compared with the plain model of the design.

`EXLAB_MODEL_SECONDS` lets it go on with fresh seeds for that long; a failure names the seed and prints the steps.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.crash.model.compared import Compared
from tests.crash.model.machine import StoreMachine
from tests.crash.model.reference import LEGAL

pytestmark = pytest.mark.slow

SECONDS: Final = float(os.environ.get("EXLAB_MODEL_SECONDS", "0"))
SEEDS: Final = (1, 2, 3) if SECONDS else (1,)
STEPS: Final = 10_000 if SECONDS else 1_500
STEPS_OF_EACH: Final = 50
EXAMPLES: Final = 90 if SECONDS else 45
TRIES: Final = 5
LEGAL_MOVES: Final = {(source, target) for source, targets in LEGAL.items() for target in targets}
SETTINGS: Final = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS_OF_EACH,
    deadline=None,
    database=None,
    print_blob=False,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


def is_enough() -> bool:
    """Return whether the steps so far prove something: there are enough, and every legal move was among them."""
    return Compared.steps >= STEPS / len(SEEDS) and Compared.reached == LEGAL_MOVES


def seeds(saved: int) -> Iterator[int]:
    """Return saved seeds until it is enough, then fresh ones for as long as was asked."""
    for number in range(saved, saved + TRIES * len(SEEDS), len(SEEDS)):
        if not is_enough():
            yield number
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        yield random.SystemRandom().randrange(1 << 32)


@pytest.mark.timeout(1200 + SECONDS)  # a failure is first made small, which takes minutes
@pytest.mark.parametrize("saved", SEEDS)
def test_whatever_processes_clocks_quits_crashes_and_people_do_the_store_is_as_the_design_says(
    saved: int, migrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Compared, "template", migrated, raising=False)
    monkeypatch.setattr(Compared, "steps", 0)
    monkeypatch.setattr(Compared, "reached", set())
    for number in seeds(saved):
        print(f"seed {number}, after {Compared.steps} steps")  # noqa: T201 - shown when it fails
        run_state_machine_as_test(seed(number)(StoreMachine), settings=SETTINGS)
    print(f"{Compared.steps} steps")  # noqa: T201 - shown when it fails, and with `pytest -rA`
    assert is_enough(), f"{Compared.steps} steps, without {LEGAL_MOVES - Compared.reached}"

"""A hundred signals at once, at any moment: the process ends in time, and the next launch goes on with everything.

`EXLAB_STORM_SEED` gives other moments, `EXLAB_STORM_ROUNDS` more of them: `make storm` does both.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from typing import Final

import pytest
from tests.integration.session_end.conftest import listening
from tests.support.program import MIB, until
from tests.support.slow_copy import SLOW_MIB_S

from exlab_wizard.testing import Lab

pytestmark = pytest.mark.slow

SEED: Final = int(os.environ.get("EXLAB_STORM_SEED", "20261124"))
ROUNDS: Final = int(os.environ.get("EXLAB_STORM_ROUNDS", "1"))
SIGNALS: Final = 100


def storm(lab: Lab, chance: random.Random) -> None:
    """Send the signals, a few milliseconds apart at most, and return when the process has ended, and well."""
    pause = threading.Event()
    for _ in range(SIGNALS):
        if lab.process.poll() is not None:
            break
        lab.process.send_signal(chance.choice((signal.SIGTERM, signal.SIGINT)))
        pause.wait(chance.choice((0.0, 0.0, 0.0, 0.001, 0.005)))
    assert lab.wait() == 0, lab.log()


def verified(lab: Lab) -> int:
    return lab.number("SELECT count(*) FROM sync_jobs WHERE state = 'verified'")


def ends_well(lab: Lab) -> None:
    """The database holds, and everything that was handed in is still there."""
    assert lab.losses() == []
    assert lab.value("PRAGMA integrity_check") == "ok"
    assert lab.number("SELECT count(*) FROM launches WHERE ended_at IS NULL") == 0
    assert lab.number("SELECT count(*) FROM sync_jobs WHERE state IN ('running', 'verifying')") == 0
    assert "Traceback" not in lab.log()


def test_a_storm_in_the_middle_of_claims_commits_and_copies_loses_nothing(exlab: Lab) -> None:
    chance = random.Random(SEED)  # noqa: S311 - moments, no secrets
    for number in range(6 + 6 * ROUNDS):
        exlab.sync(exlab.make_run(f"run-{number}", {f"{part}.raw": 200_000 for part in range(6)}, seed=number))
    exlab.sync(exlab.make_run("big", {"detector.raw": 8 * ROUNDS * MIB}))
    for _ in range(ROUNDS):
        exlab.configure(bandwidth_mib_s=chance.choice((None, 20.0)))
        wanted = verified(exlab) + chance.randint(0, 4)
        exlab.start()
        until(lambda wanted=wanted: verified(exlab) >= wanted, what="the moment")  # type: ignore[misc]
        storm(exlab, chance)
        ends_well(exlab)
    exlab.configure()
    exlab.relaunch()
    exlab.until_idle()
    exlab.assert_nothing_lost()
    assert exlab.query("SELECT DISTINCT state FROM sync_jobs") == [("verified",)]
    exlab.quit()
    assert exlab.wait() == 0
    checked = exlab.call("db", "check", "--runs")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_storm_while_the_question_stands_ends_it(exlab: Lab) -> None:
    chance = random.Random(SEED)  # noqa: S311 - likewise
    exlab.sync(exlab.make_run("big", {"detector.raw": 60 * MIB}))
    exlab.configure(bandwidth_mib_s=SLOW_MIB_S, window_s=0.0)
    exlab.start()
    until(lambda: exlab.number("SELECT count(*) FROM sync_jobs WHERE state = 'running' AND bytes_done > 0"))
    with listening(exlab):
        assert exlab.api("POST", "/quit", {})[0] == 202
        until(lambda: exlab.number("SELECT coalesce(sum(prompts), 0) FROM quit_requests"), what="the question")
        storm(exlab, chance)
    ends_well(exlab)
    assert exlab.value("SELECT end_reason FROM launches") == "forced"
    exlab.configure()
    exlab.relaunch()
    exlab.until_idle()
    exlab.assert_nothing_lost()

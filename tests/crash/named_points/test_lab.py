"""The lab notices when a kill does not land, and when something is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from exlab_wizard.crash_points import Point
from exlab_wizard.testing import Lab

ROOT = Path(__file__).resolve().parents[3]
MISSED = "was not reached"


@pytest.fixture
def lab(exlab: Lab) -> Lab:
    """Let the lab's processes import the modules beside this file."""
    exlab.environment["PYTHONPATH"] += f"{os.pathsep}{ROOT}"
    return exlab


def missed(act: Callable[[], None]) -> str:
    with pytest.raises(AssertionError, match=MISSED) as caught:
        act()
    return str(caught.value)


@pytest.mark.slow
def test_a_point_that_the_program_never_comes_to_is_a_failure_that_says_how_far_it_came(lab: Lab) -> None:
    run = lab.make_run()
    said = missed(lambda: lab.kill_at("merge:file_published", "sync", str(run)))
    assert "merge:file_published was not reached 1 time(s): the program exited with 0" in said
    assert "enqueue:before_commit, enqueue:after_commit" in said
    said = missed(lambda: lab.kill_at("publish:before_rename", nth=2, meanwhile=lab.until_idle, within=0.1))
    assert "still ran after 0.1 s" in said
    assert "publish:before_rename" in said.partition("Points reached")[2]
    assert lab.process.poll() is not None


@pytest.mark.slow
def test_a_kill_that_was_taken_out_is_noticed(lab: Lab) -> None:
    lab.victim = "tests.crash.named_points.harmless"
    said = missed(lambda: lab.kill_at(Point.ENQUEUE_AFTER_COMMIT, "sync", str(lab.make_run())))
    assert "exited with 0" in said


@pytest.mark.slow
def test_a_kill_by_somebody_else_is_no_proof(lab: Lab) -> None:
    assert "was killed by another process" in missed(
        lambda: lab.kill_at(Point.ENQUEUE_AFTER_COMMIT, module="tests.crash.named_points.reckless")
    )


@pytest.mark.slow
def test_a_program_that_is_held_at_a_point_waits_there_and_then_goes_on(lab: Lab) -> None:
    with pytest.raises(ValueError, match="publish:sometime"):
        lab.kill_at("publish:sometime")
    with pytest.raises(AssertionError, match="nothing has been started"):
        lab.kill()
    job = lab.sync(lab.make_run())
    with lab.held_at("publish:before_rename"):
        assert lab.job_state(job) == "verifying"
        assert not (lab.nas / "run-1").exists()
        with pytest.raises(AssertionError, match="still running"):
            lab.relaunch()
    lab.until_idle()
    lab.assert_nothing_lost()
    said = missed(lambda: hold_in_vain(lab))
    assert "exited with 0" in said


def hold_in_vain(lab: Lab) -> None:
    lab.quit()
    assert lab.wait() == 0
    with lab.held_at("publish:before_rename", "status"):
        pytest.fail("`status` publishes nothing")


@pytest.mark.slow
def test_what_is_lost_damaged_or_left_over_is_named(lab: Lab) -> None:
    run, gone = lab.make_run(), lab.make_run("run-2", seed=2)
    lab.sync(run)
    lab.start()
    lab.until_idle()
    lab.kill()
    assert lab.losses() == []
    lab.sync(gone)
    lab.query("UPDATE sync_jobs SET run_path = '/elsewhere' WHERE id = 2")
    (run / "a.raw").write_bytes(b"changed")
    (lab.nas / "run-1" / "frames" / "2.tif").write_bytes(b"54321")
    left = subprocess.Popen([sys.executable, "-c", "input()", str(lab.state)], stdin=subprocess.PIPE)
    try:
        lost = "\n".join(lab.losses())
    finally:
        left.kill()
        left.communicate()
    assert f"{gone} was queued as job 2" in lost
    assert f"{run} has changed since it was queued" in lost
    assert "frames/2.tif: its content differs from what was verified" in lost
    assert f"process {left.pid} is left over" in lost
    with pytest.raises(AssertionError, match="lost, damaged or left over"):
        lab.assert_nothing_lost()
    for file in lab.state.glob("exlab-wizard.db*"):
        file.unlink()
    assert f"{run} was queued, but there is no database" in lab.losses()

"""Killed at each durable step of launch, copy and publish: the next launch finds nothing half done.

strace kills before the system call that it names, counted for each thread; a test here that kills nothing fails.
These are some of the calls that `tests/crash/system_calls` kills at by other means; `make points-full` tries more.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.program import MIB, PATIENCE_SECONDS, Program, picture, until, write_run

from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.upkeep.invariants import check

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux" or shutil.which("strace") is None, reason="needs strace"),
]

FULL = os.environ.get("EXLAB_POINTS") == "full"
FLUSHES = (1, 2, 3, 5, 8, 13) if FULL else (1, 5)
WRITES = (1, 2, 4, 7, 12, 20, 33) if FULL else (2, 20)
LAUNCH_POINTS = [("fdatasync,fsync", n) for n in FLUSHES] + [("pwrite64", n) for n in WRITES]
PUBLISH_POINTS = [("renameat,renameat2", 1), ("renameat,renameat2", 2), ("rename", 1), ("rmdir", 1)]


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Leave a state dir as a kill in the middle of a copy leaves it, with a run that goes on quickly."""
    home = tmp_path_factory.mktemp("cut-off")
    with Program(home) as program:
        program.configure(bandwidth_mib_s=20)
        program.start()
        files = {f"small/{n:02}": 1000 * n for n in range(30)}
        program.enqueue(write_run(home / "run", {"big.raw": 24 * MIB, **files}))
        until(lambda: program.number("SELECT bytes_done > 9000000 FROM sync_jobs"), what="part of it to be sent")
        program.kill()
        assert program.job_state() == "running"
        yield program


@pytest.fixture
def again(cut_off: Program, tmp_path: Path) -> Iterator[Program]:
    """Return a copy of all that, to be killed once more."""
    shutil.copytree(cut_off.state, tmp_path / "state")
    shutil.copytree(cut_off.nas, tmp_path / "nas")
    with Program(tmp_path) as program:
        yield program


def die_at(program: Program, calls: str, number: int) -> None:
    """Run the program under strace until it is killed before the given call, and prove that it was."""
    fault = ["-e", f"trace={calls}", "-e", f"inject={calls}:signal=KILL:when={number}"]
    command = ["strace", "-f", "-qq", "-o", os.devnull, *fault, "--", *program.command("run", "--headless", "--json")]
    with (
        (program.home / "strace.out").open("wb") as out,
        subprocess.Popen(
            command, env=program.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        ) as tracer,
    ):
        try:
            tracer.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            said = (program.home / "strace.out").read_text("utf-8")
            os.kill(json.loads(said.splitlines()[0])["pid"], signal.SIGKILL)
            pytest.fail(f"the program lived on: there is no {calls} number {number}\n{said}")
    assert tracer.returncode in (-9, 137)


def finish_and_look(program: Program, source: Path) -> None:
    """Relaunch, and find the run whole, once, and nothing that contradicts the schema's promises."""
    program.start()
    until(lambda: program.job_state() not in ("queued", "running", "verifying"), what="the job to end")
    assert program.query("SELECT state, interruptions, attempts FROM sync_jobs") == [("verified", 0, 1)]
    assert program.query("SELECT count(*) FROM job_events WHERE to_state = 'verified'") == [(1,)]
    assert program.query("SELECT count(*) FROM launches WHERE ended_at IS NULL") == [(1,)]
    assert program.checksums_pass("run")
    assert picture(program.nas / "run") == picture(source)
    until(lambda: not (program.nas / ".exlab-incoming").exists(), what="the incoming folder to be removed")
    database = Database(program.database)
    try:
        assert [finding for finding in check(database) if not finding.ok] == []
    finally:
        database.close()


@pytest.mark.sampled
@pytest.mark.parametrize(("calls", "number"), LAUNCH_POINTS)
def test_killed_at_a_durable_step_of_recovery_the_next_launch_recovers_all_the_same(
    cut_off: Program, again: Program, calls: str, number: int
) -> None:
    die_at(again, calls, number)
    finish_and_look(again, cut_off.home / "run")


@pytest.mark.sampled
@pytest.mark.parametrize(("calls", "number"), PUBLISH_POINTS)
def test_killed_at_a_step_of_publishing_the_run_is_published_once(
    cut_off: Program, again: Program, calls: str, number: int
) -> None:
    die_at(again, calls, number)
    after_the_rename = calls == "rmdir"
    assert (again.nas / "run").exists() == after_the_rename
    assert again.job_state() == "verifying"
    finish_and_look(again, cut_off.home / "run")

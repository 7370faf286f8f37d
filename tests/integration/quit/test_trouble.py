"""Quits and starts of the real program when something is wrong: database, folder, settings, a second start."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable

import pytest
from tests.support.program import PATIENCE_SECONDS, Program, until
from tests.support.slow_copy import copying_slowly, in_flight, last_end

from exlab_wizard.paths import StateDir
from exlab_wizard.process.instance_lock import InstanceHeldError, instance_lock
from exlab_wizard.store.sqlite.driver import driver

pytestmark = pytest.mark.slow


def hold_exclusively(program: Program) -> Callable[[], None]:
    """Lock every other process out of the database; returns how to let them in again."""
    connection = driver.connect(
        program.database, timeout=PATIENCE_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA busy_timeout = 10000")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE sync_jobs SET priority = priority")
    return connection.close


def overwrite_with_garbage(program: Program) -> Callable[[], None]:
    for path in (program.database, program.database.with_name(f"{program.database.name}-wal")):
        with path.open("r+b") as file:
            file.write(os.urandom(path.stat().st_size))
    return lambda: None


def delete(program: Program) -> Callable[[], None]:
    for path in program.state.glob("exlab-wizard.db*"):
        path.unlink()
    return lambda: None


def damage_pages(program: Program) -> Callable[[], None]:
    """Damage everything but the header, in the file and in its WAL."""
    for path in (program.database, program.database.with_name(f"{program.database.name}-wal")):
        with path.open("r+b") as file:
            file.seek(512)
            file.write(b"\xa5" * max(0, path.stat().st_size - 512))
    return lambda: None


@pytest.mark.sampled(cases=2)
@pytest.mark.parametrize("harm", [hold_exclusively, overwrite_with_garbage, delete, damage_pages])
def test_whatever_happened_to_the_database_sigterm_ends_the_program_in_time(
    program: Program, harm: Callable[[Program], Callable[[], None]]
) -> None:
    job = copying_slowly(program)
    assert in_flight(program, job)
    undo = harm(program)
    program.process.send_signal(signal.SIGTERM)
    try:
        program.wait()  # what holds the database lets go only afterwards
    finally:
        undo()
    # What cannot be read any more says nothing; what can be read never says that all was done.
    with contextlib.suppress(driver.Error):
        assert last_end(program) != "drained"
    if harm is hold_exclusively:
        assert last_end(program) != "drained"
        assert program.job_state(job) != "verified"
        assert "may hold its lock" in program.log() or "locked" in program.log()


def test_a_database_held_by_somebody_else_for_a_moment_only_delays_the_drain(program: Program) -> None:
    copying_slowly(program, mib=30)
    undo = hold_exclusively(program)
    program.process.send_signal(signal.SIGINT)
    until(lambda: "while quitting" in program.log(), what="the first log_once")
    undo()
    assert program.wait() == 0
    assert last_end(program) == "drained"
    assert program.job_state() == "verified"


def test_a_second_start_says_so_and_leaves_the_first_one_alone(program: Program) -> None:
    job = copying_slowly(program)
    before = program.query("SELECT id, state, claim_id, launch_id, attempts FROM sync_jobs")
    second = program.call("run", "--headless")
    assert second.returncode == 0
    assert f"already running (pid {program.process.pid}" in second.stdout
    assert program.query("SELECT id, state, claim_id, launch_id, attempts FROM sync_jobs") == before
    assert program.query("SELECT count(*), max(ended_at) FROM launches") == [(1, None)]
    assert in_flight(program, job)


def test_the_lock_is_free_the_moment_its_holder_is_killed(program: Program) -> None:
    program.start()
    program.kill()
    assert program.call("quit").returncode == 3
    program.start()
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0
    assert program.query("SELECT end_reason FROM launches ORDER BY id") == [("crashed",), ("drained",)]


def test_the_lock_is_free_only_after_the_last_write(program: Program) -> None:
    """Whoever gets it must find the receipt in the file, and nobody else with the database open."""
    program.start()
    state_dir = StateDir(program.state)
    with contextlib.ExitStack() as held:
        with pytest.raises(InstanceHeldError):
            held.enter_context(instance_lock(state_dir))
        program.process.send_signal(signal.SIGTERM)
        pause = threading.Event()
        while True:
            try:
                held.enter_context(instance_lock(state_dir))
            except InstanceHeldError:
                pause.wait(0.001)  # time: between two tries
            else:
                break
        assert not program.database.with_name(f"{program.database.name}-wal").exists(), "it has the database open still"
        assert last_end(program) == "drained"
    assert program.wait() == 0


@pytest.mark.sampled(cases=2)
@pytest.mark.anew
@pytest.mark.parametrize("delay_s", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7])
def test_a_signal_during_the_start_ends_it_cleanly(program: Program, delay_s: float) -> None:
    started = time.monotonic()
    program.start(ready=False)
    until(lambda: time.monotonic() - started >= delay_s)  # time: any moment of the start will do
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() in (0, -signal.SIGTERM)
    assert "Traceback" not in program.log()
    program.start()
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0
    unclean = program.number("SELECT count(*) FROM launches WHERE end_reason != 'drained'")
    assert unclean == 0


def test_a_state_dir_that_cannot_be_written_is_one_line_and_a_usage_error(program: Program) -> None:
    program.state = program.home / "file"
    program.state.write_text("no folder")
    answer = program.call("run", "--headless")
    assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (2, "", 1)
    assert str(program.state) in answer.stderr
    assert program.state.read_text() == "no folder"


def test_settings_that_cannot_be_used_are_one_line_each_and_nothing_starts(program: Program) -> None:
    program.config.write_text('[quit]\nwindow_s = "soon"\n[sync]\nworker = 2\n')
    answer = program.call("run", "--headless")
    assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (2, "", 2)
    assert "window_s" in answer.stderr
    assert "worker" in answer.stderr
    assert not program.database.exists()

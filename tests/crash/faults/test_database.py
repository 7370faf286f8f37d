"""The database full, failing, locked, damaged, read-only or gone, while the program starts, works and quits.

A copy that runs waits for its database and goes on, at no cost to the job; nothing is half done, and a quit ends.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Final

import pytest
from tests.crash.faults.faulty_program import BIG, FaultyProgram, number_of
from tests.crash.faults.shim import Call, Effect, Fault
from tests.support.program import MIB, PATIENCE_SECONDS, until

from exlab_wizard.store.sqlite.driver import driver

pytestmark = [pytest.mark.slow, pytest.mark.sampled]
BUDGETS: Final = "SELECT state, attempts, interruptions, crashes FROM sync_jobs WHERE id = ?"


@dataclass(frozen=True)
class Trouble:
    """A way in which the database cannot be written, and what is said about it."""

    calls: Call
    error: str
    words: str

    def arm(self, program: FaultyProgram) -> Fault:
        return program.faults.arm(self.calls, f"{program.database}*", number_of(self.error))

    def __str__(self) -> str:
        return f"{self.calls.name}-{self.error}".lower()


FULL: Final = Trouble(Call.WRITE, "ENOSPC", "Free space on the disk of the state dir.")
TROUBLES: Final = (
    FULL,
    Trouble(Call.WRITE, "EIO", "disk I/O error. Check the disk of the state dir"),
    Trouble(Call.FSYNC, "EIO", "disk I/O error. Check the disk of the state dir"),
)


def copying(program: FaultyProgram, mib: int = 12) -> int:
    """Return a job that is being copied slowly."""
    program.configure(bandwidth_mib_s=4)
    job = program.enqueue(program.new_run({BIG: mib * MIB}))
    until(lambda: program.value("SELECT bytes_done > 0 FROM sync_jobs WHERE id = ?", job), what="part to be sent")
    return job


@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
def test_a_copy_waits_for_a_database_that_cannot_be_written_and_goes_on(
    running: FaultyProgram, trouble: Trouble
) -> None:
    job = copying(running)
    said = running.log().count("cannot be written yet")
    with trouble.arm(running) as fault:
        until(lambda: running.log().count("cannot be written yet") > said, what="the copy to say that it waits")
        fault.has_hit(3)
        said_so = [line for line in running.log().splitlines() if "cannot be written yet" in line]
        assert trouble.words in said_so[-1]
        assert running.job_state(job) in {"running", "verifying"}
    running.verified(job)
    assert running.query(BUDGETS, job) == [("verified", 1, 0, 0)]
    assert running.endings(job) == []
    assert running.log().count("cannot be written yet") == said + 1, "it is said once, not every second"


@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
def test_a_result_waits_for_a_database_that_cannot_be_written(running: FaultyProgram, trouble: Trouble) -> None:
    run = running.new_run()
    with running.faults.arm(Call.RENAME, running.nas / run.name, delay_s=0.5) as late:
        job = running.enqueue(run)
        late.has_hit()
        fault = trouble.arm(running)
    with fault:
        until((running.nas / run.name).exists, what="the run to be published")
        fault.has_hit(3)
        assert running.job_state(job) == "verifying"
    running.verified(job)
    assert running.query(BUDGETS, job) == [("verified", 1, 0, 0)]


@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
def test_a_claim_waits_for_a_database_that_cannot_be_written(running: FaultyProgram, trouble: Trouble) -> None:
    with trouble.arm(running) as fault:
        job = running.enqueue(running.new_run())
        fault.has_hit(3)
        until(lambda: "a worker cannot continue at the moment" in running.log(), what="the workers to say so")
        assert running.job_state(job) == "queued"
    running.verified(job)
    assert running.query(BUDGETS, job) == [("verified", 1, 0, 0)]


def test_another_program_that_holds_the_database_for_longer_than_the_timeout_costs_nothing(
    running: FaultyProgram,
) -> None:
    job = copying(running, 20)
    holder = driver.connect(running.database, isolation_level=None, timeout=PATIENCE_SECONDS)
    holder.execute("BEGIN IMMEDIATE")
    try:
        until(lambda: "locked" in running.log(), what="the copy to say that it waits")
        assert "Another program has a transaction open; close that program." in running.log()
    finally:
        holder.close()
    running.verified(job)
    assert running.query(BUDGETS, job) == [("verified", 1, 0, 0)]
    assert running.endings(job) == []


def test_a_launch_that_finds_the_database_held_by_somebody_else_says_who_has_to_let_go(program: FaultyProgram) -> None:
    program.start()
    job = copying(program, 40)
    program.kill()
    holder = driver.connect(program.database, isolation_level=None, timeout=PATIENCE_SECONDS)
    holder.execute("BEGIN IMMEDIATE")
    try:
        answer = program.call("run", "--headless")
    finally:
        holder.close()
    assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (1, "", 1)
    assert "Another program has a transaction open; close that program." in answer.stderr
    assert program.query("SELECT count(*) FROM launches") == [(1,)]
    program.configure()
    program.start()
    program.verified(job)
    assert program.query(BUDGETS, job) == [("verified", 1, 0, 0)]


def test_a_quit_ends_while_the_disk_of_the_database_is_full_and_the_next_launch_goes_on(
    program: FaultyProgram,
) -> None:
    program.start()
    job = copying(program, 40)
    with FULL.arm(program) as fault:
        program.process.send_signal(signal.SIGTERM)
        assert program.wait() == 0
        fault.has_hit()
    assert program.job_state(job) == "running"
    program.configure()
    program.start()
    program.verified(job)
    # Nothing could be written about the quit, so the next launch has to take it for a crash.
    assert program.query(BUDGETS, job) == [("verified", 1, 0, 0)]
    assert program.query("SELECT end_reason FROM launches WHERE id = 1") == [("crashed",)]


def test_without_room_for_the_database_a_launch_refuses_in_one_line_and_changes_nothing(
    program: FaultyProgram,
) -> None:
    with FULL.arm(program):
        answer = program.call("run", "--headless")
        assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (1, "", 1)
        assert "the disk of the state dir" in answer.stderr
    program.start()
    program.verified(program.enqueue(program.new_run()))
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0
    with FULL.arm(program):
        answer = program.call("run", "--headless")
        assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (1, "", 1)
        assert "the disk of the state dir" in answer.stderr
    assert program.query("SELECT count(*) FROM launches") == [(1,)]


def test_room_for_commits_but_not_for_a_wal_of_full_size_is_room_enough(program: FaultyProgram) -> None:
    program.start()
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0
    with program.faults.arm(Call.WRITE, f"{program.database}-wal", number_of("ENOSPC"), times=1) as fault:
        program.start()
        assert fault.hits == 1
    program.verified(program.enqueue(program.new_run()))


def test_queueing_on_a_full_disk_says_so_and_leaves_nothing_half_done(running: FaultyProgram) -> None:
    run, before = running.new_run(), running.query("SELECT count(*) FROM sync_jobs")
    with FULL.arm(running):
        answer = running.call("sync", str(run))
        assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (1, "", 1)
        assert "Free space on the disk of the state dir." in answer.stderr
    assert running.query("SELECT count(*) FROM sync_jobs") == before
    assert running.call("sync", str(run)).returncode == 0
    until((running.nas / run.name).exists, what="the run to arrive")


@pytest.mark.parametrize("flush", [0, 1])
def test_a_commit_that_went_through_and_was_reported_as_failed_queues_the_run_once(
    program: FaultyProgram, flush: int
) -> None:
    program.start()
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0
    run, wal = program.new_run(), f"{program.database}-wal"
    with program.faults.arm(Call.FSYNC, wal, number_of("EIO"), skip=flush, times=1, effect=Effect.AFTERWARDS) as fault:
        answer = program.call("sync", str(run))
        assert (answer.returncode, fault.hits) == (1, 1)
    assert program.call("sync", str(run)).returncode == 0
    assert program.query("SELECT count(*) FROM sync_jobs") == [(1,)]
    program.start()
    program.verified(1)


def test_a_database_damaged_under_the_running_program_is_named_kept_and_restored_from_its_backup(
    program: FaultyProgram,
) -> None:
    program.start()
    job = program.enqueue(program.new_run())
    program.verified(job)
    assert program.call("db", "backup").returncode == 0
    waiting = copying(program, 40)
    for path in (program.database, program.database.with_name(f"{program.database.name}-wal")):
        with path.open("r+b") as file:
            file.seek(512)
            file.write(b"\xa5" * max(0, path.stat().st_size - 512))
    until(lambda: "is damaged" in program.log(), what="the damage to be named")
    assert "exlab-wizard db restore" in program.log()
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0
    damaged = program.database.read_bytes()
    answer = program.call("run", "--headless")
    assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (4, "", 1)
    backup = max((program.state / "backups").glob("*.db"))
    assert f"exlab-wizard db restore '{backup}'" in answer.stderr
    assert program.database.read_bytes() == damaged
    assert program.call("db", "restore", str(backup)).returncode == 0
    program.configure()
    program.start()
    assert program.job_state(job) == "verified"
    again = program.enqueue(program.home / f"run-{waiting}")
    program.verified(again)


def test_a_database_that_is_moved_away_under_the_program_is_missed_and_put_back_goes_on(
    program: FaultyProgram,
) -> None:
    program.start()
    away = program.home / "away"
    program.state.rename(away)
    until(lambda: "was deleted, moved or replaced while it was in use. Put it back." in program.log(), what="the news")
    away.rename(program.state)
    program.verified(program.enqueue(program.new_run()))
    program.state.rename(away)
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0
    away.rename(program.state)


def test_a_database_that_takes_the_place_of_the_one_in_use_gets_no_work_done_behind_its_back(
    program: FaultyProgram,
) -> None:
    program.start()
    copy = program.home / "copy.db"
    assert program.call("db", "backup", str(copy)).returncode == 0
    for path in program.state.glob("exlab-wizard.db*"):
        path.unlink()
    copy.rename(program.database)
    run = program.new_run()
    assert program.call("sync", str(run)).returncode == 0
    until(lambda: "was deleted, moved or replaced while it was in use." in program.log(), what="the news")
    assert program.job_state() == "queued"
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0
    program.start()
    program.verified(1)


def test_a_database_that_may_only_be_read_is_one_line_that_says_what_to_do(program: FaultyProgram) -> None:
    program.start()
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0
    with program.faults.arm(Call.OPEN, f"{program.database}*", number_of("EROFS"), times=2):
        answer = program.call("run", "--headless")
        assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (1, "", 1)
        assert "Check that the state dir exists and that your account can write to it." in answer.stderr

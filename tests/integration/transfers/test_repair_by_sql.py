"""One short statement typed into another SQLite stops a running copy, or starts a failed job again, within a second."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import pytest
from tests.support.program import MIB, PATIENCE_SECONDS, OnlyWoken, Program, until, write_run
from tests.support.wake_ups import rounds

pytestmark = [pytest.mark.slow, pytest.mark.on_disk]


@pytest.fixture
def kind_of_program() -> type[Program]:
    return OnlyWoken


WITHOUT_SHELL = "import sqlite3, sys; sqlite3.connect(sys.argv[1], isolation_level=None).execute(sys.argv[2])"


def typed(program: Program, statement: str) -> None:
    """Run a statement as an administrator does: with the system's own SQLite, in a process of its own."""
    shell = shutil.which("sqlite3")
    # The shell does not wait for the program's own writes unless it is told to.
    start = [shell, "-cmd", ".timeout 60000"] if shell else [sys.executable, "-c", WITHOUT_SHELL]
    subprocess.run(
        [*start, str(program.database), statement], check=True, timeout=PATIENCE_SECONDS, capture_output=True
    )


def test_a_running_copy_that_is_cancelled_with_sql_stops(program: Program) -> None:
    program.configure(bandwidth_mib_s=5, workers=1)
    program.start()
    job = program.enqueue(write_run(program.home / "run", {"big.raw": 60 * MIB}))
    following = program.enqueue(write_run(program.home / "next", {"data.bin": 10}))
    until(lambda: program.number("SELECT bytes_done > 0 FROM sync_jobs WHERE id = ?", job), what="bytes to be sent")
    typed(program, f"UPDATE sync_jobs SET state = 'cancelled' WHERE id = {job}")
    claimed = "SELECT claimed_at IS NOT NULL FROM sync_jobs WHERE id = ?"
    until(lambda: program.number(claimed, following), what="the one worker to take the next job")
    after = program.query("SELECT bytes_done, files_done, claim_id, state_reason FROM sync_jobs WHERE id = ?", job)
    assert after[0][2:] == (None, "changed with SQL")
    until(lambda: program.job_state(following) == "verified", what="the next job to arrive")
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0  # whatever it wanted to write it has written now
    assert program.job_state(job) == "cancelled"
    now = program.query("SELECT bytes_done, files_done, claim_id, state_reason FROM sync_jobs WHERE id = ?", job)
    assert now == after
    assert not (program.nas / "run").exists()
    assert program.number("SELECT count(*) FROM job_events WHERE job_id = ? AND to_state = 'verified'", job) == 0


@pytest.mark.skipif(os.name == "nt", reason="makes the job fail with a FIFO")
def test_a_failed_job_that_is_queued_with_sql_starts_before_the_workers_look_again(program: Program) -> None:
    program.configure()
    program.start()
    run = write_run(program.home / "run", {"data.bin": 10})
    os.mkfifo(run / "pipe")
    job = program.enqueue(run)
    until(lambda: program.job_state(job) == "failed", what="the job to fail")
    (run / "pipe").unlink()
    typed(program, "UPDATE sync_jobs SET state = 'queued' WHERE state = 'failed'")
    starts = "SELECT count(*) FROM job_events WHERE job_id = ? AND to_state = 'running'"
    until(lambda: program.number(starts, job) == 2, what="the job to start")
    until(lambda: program.job_state(job) == "verified", what="the job to arrive")
    assert program.query("SELECT attempts, error_kind, error_detail FROM sync_jobs") == [(1, None, None)]


def test_every_other_repair_of_the_cookbook_takes_effect(program: Program) -> None:
    """Queueing, holding back and letting go, pausing and going on, closing a session: each by one typed statement."""
    program.configure(workers=1)
    program.start()
    run = write_run(program.home / "run", {"data.bin": 10})
    now = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
    open_launch = "WHERE ended_at IS NULL"
    queue = f"INSERT INTO sync_jobs (run_path, destination, enqueued_at, not_before) VALUES ('{run}', 'nas', {now}"
    starts = "SELECT count(*) FROM job_events WHERE to_state = 'running'"

    typed(program, f"{queue}, '2999-01-01T00:00:00.000Z')")
    typed(program, f"UPDATE launches SET paused_since = {now} {open_launch}")
    until(lambda: program.api("GET", "/status")[1] is not None, what="the application to answer")
    typed(program, "UPDATE sync_jobs SET not_before = NULL WHERE id = 1")
    rounds(program.process.pid)
    assert program.number(starts) == 0, "it is paused"
    typed(program, f"UPDATE launches SET paused_since = NULL {open_launch}")
    until(lambda: program.number(starts) == 1, what="the job to start when the pause is over")
    until(lambda: program.job_state(1) == "verified", what="the job to arrive")

    typed(program, f"{queue}, NULL)")
    until(lambda: program.number(starts) == 2, what="a job that was put in by hand to start")

    status, session = program.api("POST", "/sessions", {"kind": "run", "label": "gone", "ttl_s": 3600})
    assert status == 201
    assert isinstance(session, dict)
    assert program.api("POST", "/quit", {})[0] == 202
    until(lambda: program.value("SELECT draining_since FROM launches"), what="the drain to begin")
    typed(program, f"UPDATE session_leases SET state = 'aborted' WHERE id = '{session['id']}'")
    assert program.wait() == 0
    assert program.query("SELECT outcome FROM quit_requests") == [("drained",)]


def test_what_is_refused_changes_nothing_and_says_which_moves_are_legal(program: Program) -> None:
    program.configure(bandwidth_mib_s=5, workers=1)
    program.start()
    job = program.enqueue(write_run(program.home / "run", {"big.raw": 60 * MIB}))
    until(lambda: program.job_state(job) == "running", what="the copy to run")
    log = program.query("SELECT * FROM job_events")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        typed(program, f"UPDATE sync_jobs SET state = 'verified', priority = 9 WHERE id = {job}")
    said = refused.value.stderr.decode()
    legal = [row[0] for row in program.query("SELECT to_state FROM job_transitions WHERE from_state = 'running'")]
    assert "a running job cannot become verified; from running it can become: " in said
    assert all(str(state) in said for state in legal)
    assert program.query("SELECT state, priority FROM sync_jobs") == [("running", 0)]
    assert program.query("SELECT * FROM job_events") == log

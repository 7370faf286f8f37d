"""One short statement typed into another SQLite stops a running copy, or starts a failed job again, within a second."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading

import pytest
from tests.program import MIB, Program, until, write_run

pytestmark = pytest.mark.slow

WITHOUT_SHELL = "import sqlite3, sys; sqlite3.connect(sys.argv[1], isolation_level=None).execute(sys.argv[2])"


def typed(program: Program, statement: str) -> None:
    """Run a statement as an administrator does: with the system's own SQLite, in a process of its own."""
    shell = shutil.which("sqlite3")
    start = [shell] if shell else [sys.executable, "-c", WITHOUT_SHELL]
    subprocess.run([*start, str(program.database), statement], check=True, timeout=10, capture_output=True)


def test_a_running_copy_that_is_cancelled_with_sql_stops_within_a_second(program: Program) -> None:
    program.configure(bandwidth_mib_s=5, workers=1)
    program.start()
    job = program.enqueue(write_run(program.home / "run", {"big.raw": 60 * MIB}))
    following = program.enqueue(write_run(program.home / "next", {"data.bin": 10}))
    until(lambda: program.number("SELECT bytes_done > 0 FROM sync_jobs WHERE id = ?", job), what="bytes to be sent")
    typed(program, f"UPDATE sync_jobs SET state = 'cancelled' WHERE id = {job}")
    claimed = "SELECT claimed_at IS NOT NULL FROM sync_jobs WHERE id = ?"
    until(lambda: program.number(claimed, following), 1.0, "the one worker to take the next job")
    after = program.query("SELECT bytes_done, files_done, claim_id, state_reason FROM sync_jobs WHERE id = ?", job)
    assert after[0][2:] == (None, "changed with SQL")
    until(lambda: program.job_state(following) == "verified", what="the next job to arrive")
    threading.Event().wait(1.0)
    assert program.job_state(job) == "cancelled"
    now = program.query("SELECT bytes_done, files_done, claim_id, state_reason FROM sync_jobs WHERE id = ?", job)
    assert now == after
    assert not (program.nas / "run").exists()
    assert program.number("SELECT count(*) FROM job_events WHERE job_id = ? AND to_state = 'verified'", job) == 0


@pytest.mark.skipif(os.name == "nt", reason="makes the job fail with a FIFO")
def test_a_failed_job_that_is_queued_with_sql_starts_within_a_second(program: Program) -> None:
    program.configure()
    program.start()
    run = write_run(program.home / "run", {"data.bin": 10})
    os.mkfifo(run / "pipe")
    job = program.enqueue(run)
    until(lambda: program.job_state(job) == "failed", what="the job to fail")
    (run / "pipe").unlink()
    typed(program, "UPDATE sync_jobs SET state = 'queued' WHERE state = 'failed'")
    starts = "SELECT count(*) FROM job_events WHERE job_id = ? AND to_state = 'running'"
    until(lambda: program.number(starts, job) == 2, 1.0, "the job to start")
    until(lambda: program.job_state(job) == "verified", what="the job to arrive")
    assert program.query("SELECT attempts, error_kind, error_detail FROM sync_jobs") == [(1, None, None)]

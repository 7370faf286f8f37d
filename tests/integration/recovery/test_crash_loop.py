"""A job that kills the program is given up; a machine that goes down is nobody's fault; a deadly start pauses."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.program import MIB, Program, until, write_run

pytestmark = pytest.mark.slow

CRAWL_MIB_S = 0.001  # the first buffer takes minutes: no checkpoint can be reached
LAUNCHES = 3
GROWN = "SELECT state = 'running' AND bytes_done > ? FROM sync_jobs"


def prepare(program: Program) -> None:
    """One worker, and two destinations: on `nas` nothing moves, on `fast` nothing holds it up."""
    fast = program.home / "fast"
    fast.mkdir(exist_ok=True)
    (fast / ".exlab-destination").touch()
    target = str(fast).replace("\\", "\\\\")
    program.configure(bandwidth_mib_s=CRAWL_MIB_S, workers=1, more=f'[destinations.fast]\ntarget = "{target}"\n')


def kill_while_it_runs(program: Program, job: int) -> None:
    """Kill the launch that works on `job`, before anything of it is durable."""
    until(lambda: program.job_state(job) == "running", what="the job to run")
    program.kill()
    assert program.query("SELECT state, bytes_done FROM sync_jobs WHERE id = ?", job) == [("running", 0)]


def test_a_job_that_kills_the_program_is_given_up_and_the_others_arrive(program: Program) -> None:
    prepare(program)
    program.start()
    deadly = program.enqueue(write_run(program.home / "deadly", {"big.raw": 20 * MIB}))
    others = [write_run(program.home / f"run-{n}", {"data.bin": MIB}, seed=n) for n in range(3)]
    insert = "INSERT INTO sync_jobs (run_path, destination, enqueued_at) VALUES (?, 'fast', '2026-01-01T00:00:00.000Z')"
    for run in others:
        program.query(insert, str(run))
    for launch in range(LAUNCHES):
        if launch:
            program.start()
        kill_while_it_runs(program, deadly)
    program.start()
    assert program.query(
        "SELECT state, error_kind, crashes, attempts, interruptions FROM sync_jobs WHERE id = ?", deadly
    ) == [("failed", "crash_loop", LAUNCHES, 0, 0)]
    detail = str(program.value("SELECT error_detail FROM failed_work WHERE id = ?", deadly))
    assert "3 times" in detail
    assert "retry" in detail
    verified = "SELECT count(*) FROM sync_jobs WHERE destination = 'fast' AND state = 'verified'"
    until(lambda: program.number(verified) == len(others), what="the other jobs to arrive")
    assert program.query("SELECT end_reason FROM launches WHERE ended_at IS NOT NULL") == [("crashed",)] * LAUNCHES


def test_a_retried_crash_loop_has_its_three_launches_again(program: Program) -> None:
    prepare(program)
    program.start()
    job = program.enqueue(write_run(program.home / "deadly", {"big.raw": 20 * MIB}))
    for launch in range(LAUNCHES):
        if launch:
            program.start()
        kill_while_it_runs(program, job)
    program.configure(workers=1)
    program.start()
    assert program.job_state(job) == "failed"
    program.query("UPDATE sync_jobs SET state = 'queued' WHERE state = 'failed'")
    until(lambda: program.job_state(job) == "verified", what="the job to arrive after all")
    assert program.number("SELECT crashes FROM sync_jobs") == 0


def test_a_machine_that_goes_down_is_an_interruption_and_no_crash(program: Program) -> None:
    prepare(program)
    program.start()
    job = program.enqueue(write_run(program.home / "run", {"big.raw": 20 * MIB}))
    rounds = LAUNCHES + 1
    for launch in range(rounds):
        if launch:
            program.start()
            assert "host_restarted" in program.said()
        kill_while_it_runs(program, job)
        program.query("UPDATE launches SET boot_id = 'an earlier boot' WHERE ended_at IS NULL")
    program.configure()
    program.start()
    assert program.query("SELECT crashes, interruptions FROM sync_jobs") == [(0, rounds)]
    until(lambda: program.job_state(job) == "verified", what="the job to arrive")
    assert program.query("SELECT DISTINCT end_reason FROM launches WHERE ended_at IS NOT NULL") == [("host_restarted",)]
    reasons = program.query("SELECT reason FROM job_events WHERE from_state = 'running' AND to_state = 'resumable'")
    assert reasons == [("host_restarted",)] * rounds


def workers(program: Program) -> dict[str, str]:
    found: Any = program.api("GET", "/health")[1]
    return dict(found["components"]["workers"])


def started_after_deaths(program: Program) -> int:
    """Start the program after launches that all died at once; return a job that waits."""
    program.configure()
    for _ in range(LAUNCHES):
        program.start()
        program.kill()
    program.start()
    return program.enqueue(write_run(program.home / "run", {"data.bin": MIB}))


def test_after_three_deaths_at_the_start_the_fourth_launch_pauses_and_says_so(program: Program) -> None:
    job = started_after_deaths(program)
    until(lambda: "safe mode" in program.log(), what="the launch to say that it is paused")
    healthy = "SELECT count(*) FROM launches WHERE healthy_at IS NOT NULL"
    until(lambda: program.number(healthy) == 1, what="the launch to live for some seconds")
    assert program.job_state(job) == "queued"
    assert workers(program)["reason"].startswith("safe mode")
    program.process.terminate()
    assert program.wait() == 0
    program.start()
    until(lambda: program.job_state(job) == "verified", what="the next launch to work again")


def test_safe_mode_ends_when_somebody_resumes(program: Program) -> None:
    job = started_after_deaths(program)
    program.call("resume")
    until(lambda: program.job_state(job) == "verified", what="the resumed launch to work")
    until(lambda: workers(program)["status"] == "ok", what="safe mode to be over")


def test_three_launches_killed_after_progress_do_not_pause_the_fourth(program: Program) -> None:
    program.configure(bandwidth_mib_s=10)
    program.start()
    job = program.enqueue(write_run(program.home / "run", {"big.raw": 100 * MIB}))
    for launch in range(LAUNCHES + 1):
        if launch:
            program.start()
        done = program.number("SELECT bytes_done FROM sync_jobs")
        until(lambda at=done: program.number(GROWN, at), what="a checkpoint")  # type: ignore[misc]
        program.kill()
        assert program.job_state(job) == "running"
    program.configure()
    program.start()
    until(lambda: program.job_state(job) == "verified", what="the job to arrive")
    assert "safe mode" not in program.log()
    assert program.query("SELECT crashes, interruptions FROM sync_jobs") == [(0, 0)]

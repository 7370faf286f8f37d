"""The instrument is still writing, or somebody edits the run between a crash and the resume."""

from __future__ import annotations

import os

import pytest
from tests.support.program import MIB, Program, until, write_run

pytestmark = [pytest.mark.slow, pytest.mark.on_disk]

DEFERRED = "SELECT count(*) FROM job_events WHERE reason = 'waits: source_changing'"


def test_a_file_that_grows_while_it_is_copied_defers_the_job_and_arrives_whole_later(program: Program) -> None:
    program.configure(bandwidth_mib_s=15, settle_s=0.5)
    program.start()
    run = write_run(program.home / "run", {"growing.raw": 30 * MIB, "calm.txt": 10})
    job = program.enqueue(run)
    growing = run / "growing.raw"
    until(lambda: program.number("SELECT bytes_done > 1000000 FROM sync_jobs"), what="part of it to be sent")
    for _ in range(3):
        before = program.number(DEFERRED)
        # A change while it waits may have settled when it is looked at next, and be no reason to defer it again.
        until(lambda: program.job_state(job) == "running", what="it to be copied")
        with growing.open("ab") as file:
            file.write(os.urandom(100_000))
        until(lambda at=before: program.number(DEFERRED) > at, what="the job to be deferred")  # type: ignore[misc]
        assert program.query("SELECT attempts, error_kind, crashes FROM sync_jobs") == [(0, None, 0)]
        assert not (program.nas / "run").exists()
    program.configure(settle_s=0.5)
    until(lambda: program.job_state(job) == "verified", what="the job to arrive")
    assert (program.nas / "run" / "growing.raw").read_bytes() == growing.read_bytes()
    assert program.checksums_pass("run")
    assert program.query("SELECT attempts, interruptions, crashes FROM sync_jobs") == [(1, 0, 0)]


def test_an_edit_of_same_size_and_time_inside_the_sent_part_is_found_on_resume(program: Program) -> None:
    program.configure(bandwidth_mib_s=30)
    program.start()
    run = write_run(program.home / "run", {"big.raw": 60 * MIB})
    job = program.enqueue(run)
    until(lambda: program.number("SELECT bytes_done > 16000000 FROM sync_jobs"), what="part of it to be sent")
    program.kill()
    assert program.query("SELECT state, bytes_done < bytes_total FROM sync_jobs") == [("running", 1)]
    big = run / "big.raw"
    times = big.stat()
    with big.open("r+b") as file:
        file.seek(3 * MIB)
        file.write(b"edited by hand")
    os.utime(big, ns=(times.st_atime_ns, times.st_mtime_ns))
    program.configure()
    program.start()
    until(lambda: program.job_state(job) == "verified", what="the job to arrive")
    assert (program.nas / "run" / "big.raw").read_bytes() == big.read_bytes()
    assert program.checksums_pass("run")

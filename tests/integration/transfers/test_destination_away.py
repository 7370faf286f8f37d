"""The share goes away or is full in the middle of a copy: the job waits, costs nothing, and goes on by itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.program import MIB, Program, until, write_run

pytestmark = [pytest.mark.slow, pytest.mark.on_disk]

WAITING = "SELECT state, waiting_on, attempts, error_kind, crashes FROM sync_jobs WHERE id = 1"
WAITED = "SELECT count(*) FROM job_events WHERE to_state = 'queued' AND reason LIKE 'waits: %'"


def waits_for(program: Program, reason: str) -> bool:
    return program.query(WAITING) == [("queued", reason, 0, None, 0)]


def test_a_share_that_vanishes_is_waited_for_and_nothing_is_written_where_it_was(program: Program) -> None:
    program.configure(bandwidth_mib_s=20)
    program.start()
    job = program.enqueue(write_run(program.home / "run", {"big.raw": 60 * MIB, "small.txt": 5}))
    until(lambda: program.number("SELECT bytes_done > 8000000 FROM sync_jobs"), what="part of it to be sent")
    away = program.home / "away"
    program.nas.rename(away)
    program.nas.mkdir()  # what an unmounted share leaves behind
    until(lambda: waits_for(program, "destination_offline"), what="the job to wait")
    assert ".exlab-destination" in str(program.value("SELECT error_detail FROM sync_jobs"))
    waited = program.number(WAITED)
    program.query("UPDATE sync_jobs SET not_before = NULL, waiting_on = NULL WHERE id = 1")
    until(lambda: program.number(WAITED) > waited, what="another attempt to find nothing")
    assert waits_for(program, "destination_offline")
    assert list(program.nas.iterdir()) == []
    program.nas.rmdir()
    away.rename(program.nas)
    program.configure()
    until(lambda: program.job_state(job) == "verified", what="the job to go on by itself")
    assert program.query("SELECT attempts, interruptions, crashes FROM sync_jobs") == [(1, 0, 0)]
    assert program.number("SELECT bytes_resumed FROM sync_jobs") >= 8_000_000
    assert program.checksums_pass("run")


def test_jobs_behind_one_that_waits_for_the_share_wait_too_and_all_go_on(program: Program) -> None:
    program.configure()
    program.start()
    away = program.home / "away"
    program.nas.rename(away)
    for n in range(5):
        program.enqueue(write_run(program.home / f"run-{n}", {"data.bin": 1000}, seed=n))
    held = "SELECT count(*) FROM pending_work WHERE why = 'waits: destination_offline' AND attempts = 0"
    until(lambda: program.number(held) == 5, what="all to wait")
    away.rename(program.nas)
    until(lambda: program.number("SELECT count(*) FROM sync_jobs WHERE state = 'verified'") == 5, what="all to arrive")


@pytest.fixture
def small_share(program: Program) -> Iterator[Path]:
    """Mount a share of 32 MiB as the program's destination."""
    share = program.home / "nas"
    (share / ".exlab-destination").unlink()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "small-share", str(share)]
    if os.name == "nt" or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    (share / ".exlab-destination").touch()
    yield share
    subprocess.run(["umount", "--lazy", str(share)], check=True)


def test_a_share_that_fills_up_is_waited_for_and_the_copy_goes_on_when_there_is_room(
    program: Program, small_share: Path
) -> None:
    program.configure(bandwidth_mib_s=8)
    program.start()
    job = program.enqueue(write_run(program.home / "run", {"big.raw": 24 * MIB}))
    until(lambda: program.number("SELECT bytes_done > 0 FROM sync_jobs"), what="part of it to be sent")
    ballast = small_share / "ballast"
    with ballast.open("wb") as file:
        file.write(bytes(8 * MIB))
    until(lambda: fill_up(ballast, 4096) == 0, what="no room to be left")
    until(lambda: waits_for(program, "destination_full"), what="the job to wait")
    waited = program.number(WAITED)
    assert "Free up space" in str(program.value("SELECT error_detail FROM sync_jobs"))
    ballast.unlink()
    until(lambda: program.job_state(job) == "verified", what="the job to go on by itself")
    assert program.query("SELECT attempts, interruptions, crashes FROM sync_jobs") == [(1, 0, 0)]
    assert program.number(WAITED) <= waited + 1
    assert program.number("SELECT bytes_resumed FROM sync_jobs") > 0
    assert program.checksums_pass("run")


def fill_up(ballast: Path, step: int) -> int:
    """Append until the file system refuses; return how many bytes it still has."""
    with ballast.open("ab", buffering=0) as file:
        try:
            while file.write(bytes(64 * step)):
                pass
        except OSError:
            return 0
    return 1


def test_a_run_for_which_there_is_no_room_waits_without_trying_again_and_again(
    program: Program, small_share: Path
) -> None:
    program.configure()
    program.start()
    ballast = small_share / "ballast"
    ballast.write_bytes(bytes(20 * MIB))
    job = program.enqueue(write_run(program.home / "run", {"big.raw": 16 * MIB}))
    small = program.enqueue(write_run(program.home / "another", {"big.raw": 15 * MIB}))
    until(lambda: waits_for(program, "destination_full"), what="the job to wait")
    until(lambda: program.number("SELECT healthy_at IS NOT NULL FROM launches"), what="seconds of waiting")
    assert waits_for(program, "destination_full")
    assert program.number(WAITED) <= 3
    ballast.unlink()
    until(lambda: program.job_state(job) == "verified", what="the job to go on by itself")
    assert program.checksums_pass("run")
    assert program.job_state(small) == "queued" or program.checksums_pass("another")

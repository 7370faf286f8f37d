"""Workstations share a NAS and know nothing of each other: neither may touch what the other one brings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.program import MIB, Program, until, write_run

pytestmark = [pytest.mark.slow, pytest.mark.on_disk]


@pytest.fixture
def other(program: Program, tmp_path: Path) -> Iterator[Program]:
    """Return the program of a second workstation with the same share."""
    home = tmp_path / "other"
    home.mkdir()
    with Program(home) as other:
        other.nas = program.nas
        other.configure()
        yield other


def test_a_different_run_of_the_same_name_is_a_conflict_that_names_both(program: Program, other: Program) -> None:
    mine = write_run(program.home / "2026-11-23", {"data.bin": MIB}, seed=1)
    theirs = write_run(other.home / "2026-11-23", {"data.bin": MIB}, seed=2)
    program.start()
    job = program.enqueue(mine)
    until(lambda: program.job_state(job) == "verified", what="the first run to arrive")
    other.start()
    second = other.enqueue(theirs)
    until(lambda: other.job_state(second) == "failed", what="the second run to be refused")
    kind, detail = other.query("SELECT error_kind, error_detail FROM sync_jobs")[0]
    assert kind == "conflict"
    assert str(program.nas / "2026-11-23") in str(detail)
    assert str(mine) in str(detail)
    assert str(theirs) in str(detail)
    assert (program.nas / "2026-11-23" / "data.bin").read_bytes() == (mine / "data.bin").read_bytes()
    assert program.checksums_pass("2026-11-23")


def test_equal_job_numbers_of_two_workstations_never_meet_in_the_incoming_folder(
    program: Program, other: Program
) -> None:
    for workstation in (program, other):
        workstation.configure(bandwidth_mib_s=2)
        workstation.start()
    first = program.enqueue(write_run(program.home / "run-a", {"big.raw": 20 * MIB}, seed=1))
    second = other.enqueue(write_run(other.home / "run-b", {"big.raw": 20 * MIB}, seed=2))
    assert first == second
    incoming = program.nas / ".exlab-incoming"
    until(lambda: incoming.exists() and len(list(incoming.iterdir())) == 2, what="both to copy at the same time")
    program.kill()
    assert program.job_state(first) == "running"
    for workstation in (program, other):
        workstation.configure()
    program.start()
    for workstation, name in ((program, "run-a"), (other, "run-b")):
        until(lambda at=workstation: at.job_state() == "verified", what=name)  # type: ignore[misc]
        assert workstation.checksums_pass(name)
        receipt = json.loads((program.nas / name / ".exlab-wizard" / "receipt.json").read_text("utf-8"))
        assert receipt["run_path"] == str(workstation.home / name)
    until(lambda: not incoming.exists(), what="the incoming folder to be removed")

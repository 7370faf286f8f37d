"""A run of very many tiny files: memory must not grow with what passes through."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.support.program import Program, until

FILES = 100_000
SIZE = 100
MEMORY_KIB = 300 * 1024


def peak_kib(pid: int) -> int:
    """Return the largest resident memory that a process ever had."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


@pytest.mark.sampled(cases=0)
@pytest.mark.slow
@pytest.mark.on_disk
@pytest.mark.anew
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_hundred_thousand_files_arrive_within_300_mb_of_memory(program: Program) -> None:
    run = program.home / "run"
    for folder in range(100):
        here = run / f"{folder:02}"
        here.mkdir(parents=True)
        for number in range(FILES // 100):
            (here / f"{number:03}.dat").write_bytes(b"%099d\n" % (folder * 1000 + number))
    program.start()
    job = program.enqueue(run)
    until(lambda: program.job_state(job) not in ("queued", "running", "verifying"), what="the job to end")
    assert program.query("SELECT state, files_total, files_done, bytes_done FROM sync_jobs") == [
        ("verified", FILES, FILES, FILES * SIZE)
    ]
    assert peak_kib(program.process.pid) < MEMORY_KIB
    arrived = program.nas / "run"
    assert sum(1 for _ in arrived.glob("*/*.dat")) == FILES
    assert (arrived / "42" / "007.dat").read_bytes() == (run / "42" / "007.dat").read_bytes()
    with (arrived / ".exlab-wizard" / "checksums.sha256").open("rb") as checksums:
        assert sum(1 for _ in checksums) == FILES

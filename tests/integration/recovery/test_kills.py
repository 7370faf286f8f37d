"""The promise of the whole program: kill it at any instant, as often as you like, and the run still arrives once."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from tests.support.program import MIB, Program, picture, until, write_run

KILLS = int(os.environ.get("EXLAB_KILLS", "8"))
BIG = 24 * KILLS * MIB
SMALL_FILES = 25 * KILLS
AGAIN_AT_MOST = 64 * MIB
RESUMED = "SELECT max(bytes_resumed) FROM sync_jobs WHERE launch_id = (SELECT max(id) FROM launches)"


def bytes_on(incoming: Path) -> int:
    """Return the sizes of what lies in the incoming folders of all jobs."""
    return sum(path.stat().st_size for path in incoming.rglob("*") if path.is_file())


def seed() -> int:
    """Return the seed of this run: said in the output, and repeatable by the variable."""
    return int(os.environ.get("EXLAB_TEST_SEED") or random.SystemRandom().randrange(1 << 32))


@pytest.mark.slow
@pytest.mark.on_disk
def test_killed_again_and_again_the_run_arrives_once_whole_and_with_little_sent_again(program: Program) -> None:
    chance = random.Random(number := seed())  # noqa: S311 - when to kill, no secret
    print(f"EXLAB_TEST_SEED={number}")  # noqa: T201 - shown when the test fails
    files = {f"frames/{n:04}.tif": chance.randrange(2 * MIB + 100_000) for n in range(SMALL_FILES)}
    run = write_run(program.home / "run", {"big.raw": BIG, **files})
    before = picture(run)
    total = sum(size for _, _, size, _ in before.values())
    program.configure(bandwidth_mib_s=150)  # slow enough that the last kill still finds something to cut off
    program.start()
    job = program.enqueue(run)
    for left in range(KILLS, 0, -1):
        on_nas = kill_after_progress(program, chance, total, left)
        assert not (program.nas / "run").exists()
        program.start()
        resumed = until(lambda: program.value(RESUMED), what="this launch to find what was sent")
        assert isinstance(resumed, int)
        assert 0 <= on_nas - resumed <= AGAIN_AT_MOST
        assert program.query("SELECT crashes, interruptions, attempts FROM sync_jobs") in ([(1, 0, 1)], [(0, 0, 1)])
    until(lambda: program.job_state(job) not in ("queued", "running", "verifying"), what="the job to end")
    assert program.query("SELECT state, crashes, interruptions, attempts FROM sync_jobs") == [("verified", 0, 0, 1)]
    assert program.query("SELECT count(*) FROM job_events WHERE to_state = 'verified'") == [(1,)]
    assert program.query("SELECT count(*) FROM job_events WHERE reason = 'crashed' AND to_state = 'queued'") == [
        (KILLS,)
    ]
    assert program.query("SELECT count(*) FROM launches WHERE end_reason = 'crashed'") == [(KILLS,)]
    assert program.checksums_pass("run")
    assert picture(program.nas / "run") == before
    assert picture(run) == before
    assert not (program.nas / ".exlab-incoming").exists()


def kill_after_progress(program: Program, chance: random.Random, total: int, left: int) -> int:
    """Kill at a random instant after bytes became durable in this launch; return the bytes on the destination."""
    began = program.number("SELECT bytes_resumed FROM sync_jobs")
    step = chance.randrange(1, max(2, (total - began) // (left + 3)))

    def moved() -> bool:
        state, done = program.query("SELECT state, bytes_done FROM sync_jobs")[0]
        assert state in ("queued", "running"), f"too fast: {state!r}, {left} kills were left"
        assert isinstance(done, int)
        return state == "running" and done >= began + step

    until(moved, what="progress")
    program.kill()
    state, crashes = program.query("SELECT state, crashes FROM sync_jobs")[0]
    assert (state, crashes) == ("running", 0)
    return bytes_on(program.nas / ".exlab-incoming")

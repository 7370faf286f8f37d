"""A pause: copies stop within a second and keep what they sent, nothing is claimed, and all goes on at the byte."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.bench import START, Bench
from tests.support.program import MIB, PATIENCE_SECONDS, Program, until, write_run

from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.outcome import Completed, Interrupted, Outcome
from exlab_wizard.process.safe_mode import SafeMode
from exlab_wizard.process.steady_clock import SteadyClock
from exlab_wizard.store.queue.claims import ClaimedJob
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.store import Store
from exlab_wizard.store.upkeep.invariants import check
from exlab_wizard.transfer.ports import TransferControl
from exlab_wizard.workers.pool import _Worker
from exlab_wizard.workers.watchdog import Watchdog

RATE_MIB_S = 6
BIG = {"big.raw": 48 * MIB, "notes.txt": 10}
SENT = "SELECT bytes_done FROM sync_jobs WHERE id = ?"


def begin_to_copy(program: Program) -> int:
    program.configure(bandwidth_mib_s=RATE_MIB_S, workers=1)
    program.start()
    job = program.enqueue(write_run(program.home / "run", BIG))
    until(lambda: program.number(SENT, job) > 4 * MIB, what="a checkpoint")
    return job


def typed(program: Program, word: str) -> None:
    answer = program.call(word, "--json")
    assert answer.returncode == 0, answer.stderr
    assert (json.loads(answer.stdout)["paused_since"] is None) == (word == "resume")


def over_http(program: Program, word: str) -> None:
    status, body = program.api("POST", f"/{word}")
    assert status == 200
    assert isinstance(body, dict)
    assert (body["paused_since"] is None) == (word == "resume")


def with_sql(program: Program, word: str) -> None:
    value = "NULL" if word == "resume" else "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
    with program.store() as store:
        store.database.connection().execute(f"UPDATE launches SET paused_since = {value} WHERE ended_at IS NULL")


@pytest.mark.sampled
@pytest.mark.slow
@pytest.mark.parametrize("do", [typed, over_http, with_sql])
def test_a_running_copy_sends_little_more_and_goes_on_at_the_byte(
    program: Program, do: Callable[[Program, str], None]
) -> None:
    job = begin_to_copy(program)
    do(program, "pause")
    noted = program.number(SENT, job)  # a second's worth may be sent and not noted yet, and another one until it stops
    until(lambda: program.job_state(job) == "queued", what="the copy to stop")
    assert program.number(SENT, job) - noted <= 2 * RATE_MIB_S * MIB
    stopped_at = program.number(SENT, job)
    waiting = program.enqueue(write_run(program.home / "next", {"data.bin": 10}))
    assert program.query("SELECT state_reason, attempts, interruptions FROM sync_jobs WHERE id = ?", job) == [
        ("paused", 0, 0)
    ]
    status, body = program.api("GET", "/health")
    assert status == 200
    assert isinstance(body, dict)
    assert body["components"]["workers"]["status"] == "warn"
    assert "paused since" in program.call("status").stdout
    assert program.query("SELECT count(*) FROM job_events WHERE job_id = ?", waiting) == [(0,)]
    do(program, "resume")
    until(lambda: program.job_state(waiting) == "verified", what="both runs")
    assert program.job_state(job) == "verified"
    assert program.number("SELECT bytes_resumed FROM sync_jobs WHERE id = ?", job) >= stopped_at > 4 * MIB
    assert program.checksums_pass("run")
    with program.store() as store:
        assert [one for one in check(store.database) if not one.ok] == []


@pytest.mark.slow
def test_a_quit_while_paused_is_idle_and_the_next_launch_goes_on_by_itself(program: Program) -> None:
    job = begin_to_copy(program)
    typed(program, "pause")
    until(lambda: program.job_state(job) == "queued", what="the copy to stop")
    program.call("quit")
    assert program.wait() == 0
    assert program.query("SELECT end_reason, paused_since IS NOT NULL FROM launches") == [("drained", 1)]
    program.configure(workers=1)
    program.start()
    until(lambda: program.job_state(job) == "verified", what="the run")


@pytest.mark.slow
def test_a_kill_while_paused_loses_nothing(program: Program) -> None:
    job = begin_to_copy(program)
    typed(program, "pause")
    until(lambda: program.job_state(job) == "queued", what="the copy to stop")
    program.kill()
    program.configure(workers=1)
    program.start()
    until(lambda: program.job_state(job) == "verified", what="the run")
    assert program.number("SELECT crashes FROM sync_jobs WHERE id = ?", job) == 0


def test_what_does_not_run_cannot_be_paused(program: Program) -> None:
    for word in ("pause", "resume"):
        answer = program.call(word)
        assert answer.returncode == 3
        assert "exlab-wizard run" in answer.stderr


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def test_nothing_is_claimed_while_paused(bench: Bench) -> None:
    bench.store.launches.pause(bench.launch_id, START)
    bench.enqueue("/runs/a")
    assert bench.store.jobs.claim(bench.launch_id, START) is None
    assert bench.store.launches.is_paused(bench.launch_id)
    bench.store.launches.resume(bench.launch_id)
    claimed = bench.store.jobs.claim(bench.launch_id, START)
    assert claimed is not None
    assert bench.store.jobs.state_of(claimed.job_id) is JobState.RUNNING


def test_a_transfer_that_begins_just_after_the_pause_was_seen_is_stopped_all_the_same(bench: Bench) -> None:
    begun = threading.Event()

    def late(_job: ClaimedJob, control: TransferControl) -> Outcome:
        begun.set()
        return Interrupted(control.reason) if control.wait(PATIENCE_SECONDS) else Completed("too late")

    bench.attempts.scripts["/runs/a"] = late
    clock = SteadyClock(bench.clock)
    watchdog = Watchdog(
        bench.store,
        bench.settings,
        bench.pool,
        bench.launch_id,
        clock,
        safe_mode=SafeMode(bench.store, bench.launch_id, bench.clock),
        quit_asked=lambda _quits: None,
        changed=lambda: None,
    )
    job = bench.enqueue("/runs/a")
    # The claim is committed before the pause; its worker gets going only after the watchdog has looked.
    claimed = bench.store.jobs.claim(bench.launch_id, START)
    assert claimed is not None
    with closing(Database(bench.database.path)) as outside:
        Store(outside).launches.pause(bench.launch_id, START)
    watchdog.poll()
    work = threading.Thread(target=lambda: bench.pool._work_on(_Worker("late", lambda _: None), claimed))  # noqa: SLF001 - the very instant
    work.start()
    assert begun.wait(PATIENCE_SECONDS)
    watchdog.chores()
    work.join(PATIENCE_SECONDS)
    assert bench.state(job) == "queued"
    assert bench.row("state_reason, attempts", job) == ("paused", 0)

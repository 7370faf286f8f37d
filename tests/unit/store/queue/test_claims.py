"""A job is worked on once: claims, the closed gate, and workers that lost their claim without knowing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support import given
from tests.support.program import PATIENCE_SECONDS

from exlab_wizard.domain.job import ErrorKind, JobState, OperatorMove, WaitReason
from exlab_wizard.domain.outcome import Decision
from exlab_wizard.errors import MoveRefusedError, NoSuchJobError, StoreError
from exlab_wizard.paths import StateDir
from exlab_wizard.store.queue.claims import ClaimedJob
from exlab_wizard.store.queue.jobs import CANCEL, NewJob
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.store import Store

ROOT = Path(__file__).resolve().parents[4]
PROCESSES = 8
ROUNDS = 1_000
RACERS = 4


@pytest.fixture
def quick_store(migrated: Path) -> Iterator[Store]:
    """A store in memory-backed storage where there is some: thousands of commits, each synced as always."""
    shm = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    with tempfile.TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else None) as folder:
        shutil.copy(migrated, Path(folder) / "quick.db")
        opened = Store(Database(Path(folder) / "quick.db"))
        yield opened
        opened.close()


@pytest.mark.slow
def test_eight_processes_claim_each_job_exactly_once(store: Store, launch_id: int, place: StateDir) -> None:
    ids = given.enqueue(store, *(f"run-{number}" for number in range(200)))
    command = [sys.executable, "-m", "tests.unit.store.queue.claimer", str(place.database), str(launch_id)]
    started = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    claimed: list[list[int]] = []
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0
        claimed.append([int(line) for line in output.split()])
    assert sum(bool(one) for one in claimed) > PROCESSES // 2, "they did not run side by side"
    assert Counter(job_id for one in claimed for job_id in one) == Counter(ids)


@pytest.mark.slow
def test_nothing_is_claimed_after_the_gate_was_closed(quick_store: Store) -> None:
    """Four threads claim as fast as they can while a quit closes the gate: a thousand times."""
    store = quick_store
    jobs = len(given.enqueue(store, *(f"run-{number}" for number in range(100))))
    go, done = threading.Barrier(RACERS + 1), threading.Barrier(RACERS + 1)
    closed, under_way = threading.Event(), threading.Event()
    enough: list[int] = []
    current: list[int] = []
    late: list[int] = []
    won: list[int] = []

    def race() -> None:
        for _ in range(ROUNDS):
            go.wait(PATIENCE_SECONDS)
            while True:
                was_closed = closed.is_set()
                job = store.jobs.claim(current[0], given.NOW)
                if job is not None:
                    (late if was_closed else won).append(job.job_id)
                    if len(won) >= enough[0]:
                        under_way.set()
                elif was_closed:
                    break
            done.wait(PATIENCE_SECONDS)
        store.database.release()

    threads = [threading.Thread(target=race, daemon=True) for _ in range(RACERS)]
    for thread in threads:
        thread.start()
    mixed = 0
    for number in range(ROUNDS):
        current[:] = [given.launch(store, f"boot-{number}").launch_id]
        closed.clear()
        under_way.clear()
        before = len(won)
        enough[:] = [before + 1 + number % 10]
        go.wait(PATIENCE_SECONDS)
        assert under_way.wait(PATIENCE_SECONDS)
        store.launches.drain(current[0], given.NOW)
        in_flight = store.drain.count(given.NOW).in_flight_jobs
        closed.set()
        done.wait(PATIENCE_SECONDS)
        assert store.drain.count(given.NOW).in_flight_jobs == in_flight, "claimed after the commit that closed the gate"
        mixed += 0 < len(won) - before < jobs
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert late == []
    assert mixed > ROUNDS // 10, "the gate hardly ever closed while jobs were being claimed"


def test_a_launch_that_ended_claims_nothing_and_an_opened_gate_lets_claims_through(
    store: Store, launch_id: int
) -> None:
    given.enqueue(store, "a", "b")
    store.launches.drain(launch_id, given.NOW)
    assert store.jobs.claim(launch_id, given.NOW) is None
    store.launches.reopen(launch_id)
    job = given.claim(store, launch_id)
    store.launches.drain(launch_id, given.NOW)
    assert store.jobs.all_sent(job.job_id, job.claim_id)
    finished, following = store.jobs.finish_and_claim(job, given.DONE, launch_id, given.NOW)
    assert (finished, following) == (True, None)
    store.launches.reopen(launch_id)
    store.launches.end(launch_id, "forced", given.NOW)
    assert store.jobs.claim(launch_id, given.NOW) is None


def requeued_by_hand(store: Store, job: ClaimedJob, _launch_id: int) -> None:
    given.execute(store, f"UPDATE sync_jobs SET state = 'queued' WHERE id = {job.job_id}")


def cancelled(store: Store, job: ClaimedJob, _launch_id: int) -> None:
    store.jobs.decide([job.job_id], OperatorMove.CANCEL)


def taken_over(store: Store, job: ClaimedJob, launch_id: int) -> None:
    requeued_by_hand(store, job, launch_id)
    assert given.claim(store, launch_id).job_id == job.job_id


def recovered(store: Store, _job: ClaimedJob, _launch_id: int) -> None:
    given.launch(store)


@pytest.mark.parametrize("lose", [requeued_by_hand, cancelled, taken_over, recovered])
def test_a_worker_that_lost_its_claim_changes_nothing(
    store: Store, launch_id: int, lose: Callable[[Store, ClaimedJob, int], None]
) -> None:
    given.enqueue(store, "a")
    stale = given.claim(store, launch_id)
    assert store.files.checkpoint(stale.job_id, stale.claim_id, [given.sent("x", 100, 10)], [], given.progress(10))
    assert store.jobs.still_claimed(stale.job_id, stale.claim_id)
    lose(store, stale, launch_id)
    before = given.row(store, stale.job_id), given.moves(store, stale.job_id), store.files.load(stale.job_id)
    assert not store.jobs.still_claimed(stale.job_id, stale.claim_id)
    assert not store.jobs.all_sent(stale.job_id, stale.claim_id)
    for decision in (given.DONE, given.FAILED, given.CUT_OFF):
        assert not store.jobs.finish(stale, decision, given.NOW)
    assert not store.files.checkpoint(stale.job_id, stale.claim_id, [given.sent("x", 100, 99)], [], given.progress(99))
    assert not store.files.checkpoint(stale.job_id, stale.claim_id, [], ["x"], given.progress(0))
    assert (given.row(store, stale.job_id), given.moves(store, stale.job_id), store.files.load(stale.job_id)) == before


def test_an_attempt_that_was_marked_by_a_forced_quit_cannot_be_finished(store: Store, launch_id: int) -> None:
    given.enqueue(store, "a", "b")
    first, second = given.claim(store, launch_id), given.claim(store, launch_id)
    assert store.jobs.interrupt_launch(launch_id, "forced quit") == 2
    assert not store.jobs.finish(first, given.DONE, given.NOW)
    found = given.row(store, second.job_id)
    assert [found[name] for name in ("state", "attempts", "interruptions", "claim_id")] == ["resumable", 0, 1, None]
    assert store.jobs.interrupt_launch(launch_id, "forced quit") == 0


def test_jobs_come_by_priority_then_by_age(store: Store, launch_id: int) -> None:
    for name, priority in (("old", 0), ("urgent", 5), ("new", 0), ("later", -1)):
        store.jobs.enqueue(NewJob(f"/runs/{name}", "nas", priority=priority), given.NOW)
    assert [given.claim(store, launch_id).run_path[6:] for _ in range(4)] == ["urgent", "old", "new", "later"]
    assert store.jobs.claim(launch_id, given.NOW) is None


def test_a_delayed_job_is_not_claimed_before_its_time_and_is_then(store: Store, launch_id: int) -> None:
    given.enqueue(store, "a")
    again = Decision(
        JobState.QUEUED, "tried again", not_before=given.later(30), error_kind=ErrorKind.NETWORK, error_detail="down"
    )
    assert store.jobs.finish(given.claim(store, launch_id), again, given.NOW)
    assert store.jobs.next_due_at() == given.later(30)
    assert store.jobs.claim(launch_id, given.later(29.999)) is None
    job = store.jobs.claim(launch_id, given.later(30))
    assert job is not None
    assert (job.history.attempts, job.history.last_error) == (2, ErrorKind.NETWORK)
    assert store.jobs.next_due_at() is None


def test_jobs_of_a_destination_that_is_away_wait_together_and_are_released_together(
    store: Store, launch_id: int
) -> None:
    given.enqueue(store, "a", "b")
    store.jobs.enqueue(NewJob("/runs/c", "tape"), given.NOW)
    store.jobs.hold("nas", WaitReason.DESTINATION_OFFLINE, given.later(600))
    assert store.jobs.waiting_destinations() == [("nas", WaitReason.DESTINATION_OFFLINE, 0)]
    assert given.claim(store, launch_id).destination == "tape"
    assert store.jobs.claim(launch_id, given.NOW) is None
    store.jobs.release("nas", WaitReason.DESTINATION_FULL)
    assert store.jobs.claim(launch_id, given.NOW) is None
    store.jobs.release("nas", WaitReason.DESTINATION_OFFLINE)
    assert given.claim(store, launch_id).destination == "nas"
    assert store.jobs.waiting_destinations() == []


def test_a_failed_job_is_retried_with_fresh_budgets_and_only_then(store: Store, launch_id: int) -> None:
    job_id = given.bring_to(store, launch_id, JobState.FAILED)
    given.execute(store, "UPDATE sync_jobs SET attempts = 6, crashes = 3")
    assert store.jobs.decide([job_id], OperatorMove.RETRY) == {job_id: JobState.FAILED}
    with pytest.raises(MoveRefusedError, match=f"job {job_id} is queued and cannot be retried; possible: cancel"):
        store.jobs.decide([job_id], OperatorMove.RETRY)
    assert store.jobs.decide([job_id], OperatorMove.RETRY, repeated=True) == {job_id: JobState.QUEUED}
    assert given.claim(store, launch_id).history.attempts == 1


def test_what_is_verified_cannot_be_cancelled(store: Store, launch_id: int) -> None:
    job_id = given.bring_to(store, launch_id, JobState.VERIFIED)
    with pytest.raises(MoveRefusedError, match="is verified and cannot be cancelled; no action is possible"):
        store.jobs.decide([job_id], OperatorMove.CANCEL)
    with pytest.raises(
        StoreError, match="a verified job cannot become cancelled; from verified it can become: cleaned"
    ):
        store.database.write(CANCEL, {"job": job_id})


def test_all_jobs_are_decided_or_none_and_a_cancelled_one_stays_as_it_is(store: Store, launch_id: int) -> None:
    verified = given.bring_to(store, launch_id, JobState.VERIFIED)
    first, second = given.enqueue(store, "a", "b")
    for last, refused in ((verified, MoveRefusedError), (99, NoSuchJobError)):
        with pytest.raises(refused, match=f"job {last}"):
            store.jobs.decide([first, second, last], OperatorMove.CANCEL)
        assert [store.jobs.state_of(job) for job in (first, second)] == [JobState.QUEUED] * 2
    assert store.jobs.decide([first], OperatorMove.CANCEL) == {first: JobState.QUEUED}
    before = given.row(store, first), given.moves(store, first)
    was = store.jobs.decide([first, second], OperatorMove.CANCEL)
    assert was == {first: JobState.CANCELLED, second: JobState.QUEUED}
    assert (given.row(store, first), given.moves(store, first)) == before


def test_a_manifest_of_several_batches_is_whole_and_old_rows_are_gone(store: Store, launch_id: int) -> None:
    given.enqueue(store, "a")
    job = given.claim(store, launch_id)
    old = [given.sent(f"old-{number:05}", 1, 0) for number in range(4_500)]
    assert store.files.checkpoint(job.job_id, job.claim_id, old, [], given.progress(0))
    assert store.files.load(job.job_id) == old
    new = [given.sent(f"new-{number:05}\udcff", 1, 0) for number in range(10)]
    assert store.files.checkpoint(job.job_id, job.claim_id, new, [file.path for file in old], given.progress(0))
    assert store.files.load(job.job_id) == new

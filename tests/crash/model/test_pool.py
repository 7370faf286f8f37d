"""The worker pool, held at each instant of an attempt while something happens to it: no copy begins that nobody wants.

The worker is stopped at a named point, the accident takes place, the worker goes on. Afterwards nothing is in flight
without a worker, no run was worked on by two at once, and what was decided stays.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import pytest
from tests.support import given
from tests.support.bench import START, Bench
from tests.support.program import PATIENCE_SECONDS, until

from exlab_wizard.crash_points import Point, reached, watch
from exlab_wizard.domain.job import OperatorMove
from exlab_wizard.domain.outcome import Completed, Interrupted, Outcome, Superseded
from exlab_wizard.errors import MoveRefusedError
from exlab_wizard.store.queue.claims import ClaimedJob
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.store import Store
from exlab_wizard.store.upkeep.invariants import INVARIANTS
from exlab_wizard.transfer.ports import TransferControl

pytestmark = pytest.mark.slow

LOCKING: Final = (Point.CLAIM_BEFORE_COMMIT, Point.FINISH_BEFORE_COMMIT)
"""Here the worker holds the write lock: what happens meanwhile comes right after its commit."""
INSTANTS: Final = (
    Point.CLAIM_BEFORE_COMMIT,
    Point.CLAIM_AFTER_COMMIT,
    Point.COPY_WRITTEN,
    Point.VERIFY_NOTED,
    Point.FINISH_BEFORE_COMMIT,
    Point.FINISH_AFTER_COMMIT,
)


class Trap:
    """Holds the first worker that comes to a point, until it is let go."""

    def __init__(self, point: Point) -> None:
        self._point = point
        self.sprung = threading.Event()
        self.release = threading.Event()

    def __call__(self, point: Point) -> None:
        if point is self._point and not self.sprung.is_set() and threading.current_thread().name.startswith("worker"):
            self.sprung.set()
            assert self.release.wait(PATIENCE_SECONDS), "nobody let the worker go on"


class Floor:
    """A pool whose attempts pass the points of a real one, and a second process beside it."""

    def __init__(self, home: Path, workers: int = 2) -> None:
        self.bench = Bench(home, workers=workers)
        self.outside = Store(Database(self.bench.database.path))
        self.at_work: list[str] = []
        self.doubled: list[str] = []
        self.begun = 0
        self.job = self._scripted("/run")

    def _scripted(self, path: str) -> int:
        self.bench.attempts.scripts[path] = self._attempt
        return self.bench.enqueue(path)

    def more(self, path: str) -> int:
        """Queue another run."""
        return self._scripted(path)

    def _attempt(self, job: ClaimedJob, control: TransferControl) -> Outcome:
        if job.run_path in self.at_work:
            self.doubled.append(job.run_path)
        self.at_work.append(job.run_path)
        self.begun += 1
        try:
            reached(Point.COPY_WRITTEN)
            if not self.bench.jobs.all_sent(job.job_id, job.claim_id):
                return Superseded()
            reached(Point.VERIFY_NOTED)
            return Interrupted(control.reason) if control.stop_requested else Completed(job.run_path)
        finally:
            self.at_work.remove(job.run_path)

    def meanwhile(self, point: Point, accident: Callable[[], object]) -> None:
        """Start the pool, let `accident` happen while a worker stands at `point`, and let the worker go on."""
        trap = Trap(point)
        watch(trap)
        self.bench.pool.start()
        assert trap.sprung.wait(PATIENCE_SECONDS), f"no worker came to {point}"
        other = threading.Thread(target=accident, name="accident", daemon=True)
        other.start()
        if point not in LOCKING:
            other.join(PATIENCE_SECONDS)
            assert not other.is_alive(), "it waits for the worker that is held"
        trap.release.set()
        other.join(PATIENCE_SECONDS)
        assert not other.is_alive()

    def at_rest(self) -> None:
        """Wait until no worker is at work and nothing is in flight, and look at what must hold."""
        until(lambda: self.outside.drain.count(START).in_flight_jobs == 0, what="nothing to be in flight")
        until(lambda: not self.at_work, what="the workers to be idle")
        assert self.doubled == []
        for name, sql in INVARIANTS:
            assert given.execute(self.outside, sql) == [], name

    def states(self) -> list[str]:
        return [str(state) for (state,) in given.execute(self.outside, "SELECT state FROM sync_jobs ORDER BY id")]

    def close(self) -> None:
        watch(None)
        self.outside.close()
        self.bench.close()


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    """Return a pool of two workers with one job; it is not started."""
    floor = Floor(tmp_path)
    yield floor
    floor.close()


@pytest.mark.parametrize("instant", INSTANTS)
def test_cancelled_at_any_instant_of_an_attempt_a_job_is_cancelled_or_was_verified_before(
    floor: Floor, instant: Point
) -> None:
    refused: list[MoveRefusedError] = []

    def cancel() -> None:
        try:
            floor.outside.jobs.decide([floor.job], OperatorMove.CANCEL)
        except MoveRefusedError as error:
            refused.append(error)

    floor.meanwhile(instant, cancel)
    floor.at_rest()
    assert floor.states() == (["verified"] if refused else ["cancelled"])
    if instant is Point.FINISH_AFTER_COMMIT:
        assert refused
    elif instant not in LOCKING:
        assert not refused


@pytest.mark.parametrize("gate_closed", [True, False])
@pytest.mark.parametrize("instant", INSTANTS)
def test_forced_at_any_instant_of_an_attempt_nothing_stays_in_flight_and_nothing_begins_afterwards(
    floor: Floor, instant: Point, *, gate_closed: bool
) -> None:
    """The gate stays open when the database could not be written at that moment; forcing must not depend on it."""
    following = floor.more("/next")
    begun: list[int] = []

    def force() -> None:
        if gate_closed:
            floor.bench.store.launches.drain(floor.bench.launch_id, START)
        floor.bench.pool.force("cut off by a quit", 0.2)
        begun.append(floor.begun)

    floor.meanwhile(instant, force)
    floor.bench.pool.stop()
    floor.at_rest()
    assert [floor.begun] == begun, "a copy began after everything was forced to stop"
    assert set(floor.states()) <= {"queued", "resumable", "verified"}
    for job in (floor.job, following):
        state, attempts = floor.bench.row("state, attempts", job)
        assert attempts == (state == "verified"), "an interruption used an attempt"


@pytest.mark.parametrize("instant", INSTANTS)
def test_the_watchdog_that_looks_for_orphans_never_lets_two_work_on_one_run(floor: Floor, instant: Point) -> None:
    """A worker may stand between its claim and its work for as long as it likes: on a machine that swaps, say."""

    def look() -> None:
        for _ in range(3):
            floor.bench.pool.requeue_orphans()
        floor.bench.pool.drop_lost_claims()

    def arrives() -> bool:
        if floor.bench.row("waiting_on", floor.job) == ("earlier_attempt",):
            floor.bench.make_due(floor.job)
        return floor.states() == ["verified"]

    floor.meanwhile(instant, look)
    until(arrives, what="the job to be verified all the same")
    floor.at_rest()
    assert floor.bench.row("attempts, verify_passes", floor.job) == (1, 1)
    if instant not in {Point.CLAIM_BEFORE_COMMIT, Point.CLAIM_AFTER_COMMIT}:
        assert floor.begun == 1, "the job had its worker"


@pytest.mark.parametrize("late", [Point.FINISH_BEFORE_COMMIT, Point.FINISH_AFTER_COMMIT])
def test_a_worker_left_behind_while_it_finishes_gives_back_what_it_claimed_next(tmp_path: Path, late: Point) -> None:
    """The watchdog finds the transfer silent; just then it ends, and the worker claims the next job."""
    floor = Floor(tmp_path, workers=1)
    following, silent, goes_on = floor.more("/next"), threading.Event(), threading.Event()

    def hangs(_job: ClaimedJob, control: TransferControl) -> Outcome:
        control.last_moved -= 1000
        silent.set()
        assert goes_on.wait(PATIENCE_SECONDS)
        return Completed("/run")

    trap = Trap(late)
    watchdog_at_it, watchdog_goes_on = threading.Event(), threading.Event()

    def listen(point: Point) -> None:
        if threading.current_thread().name == "watchdog" and point is Point.FINISH_AFTER_COMMIT:
            watchdog_at_it.set()
            assert watchdog_goes_on.wait(PATIENCE_SECONDS)
        trap(point)

    floor.bench.attempts.scripts["/run"] = hangs
    watch(listen)
    try:
        floor.bench.pool.start()
        assert silent.wait(PATIENCE_SECONDS)
        watchdog = threading.Thread(target=floor.bench.pool.give_up_stalled, name="watchdog", daemon=True)
        watchdog.start()
        assert watchdog_at_it.wait(PATIENCE_SECONDS), "the watchdog has not given the job up"
        goes_on.set()
        assert trap.sprung.wait(PATIENCE_SECONDS), "the worker did not come back"
        if late is Point.FINISH_AFTER_COMMIT:
            assert floor.bench.state(following) == "running", "it has claimed the next job"
        watchdog_goes_on.set()
        watchdog.join(PATIENCE_SECONDS)
        trap.release.set()
        until(lambda: floor.bench.state(following) == "verified", what="another worker to do the next job")
        assert floor.bench.row("state, attempts, error_kind", floor.job) == ("queued", 1, "network")
        floor.at_rest()
    finally:
        watchdog_goes_on.set()
        floor.close()


@pytest.mark.parametrize("statement", range(7))
def test_a_run_queued_at_any_instant_of_falling_asleep_is_claimed_without_waiting_for_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: int
) -> None:
    """The worker is held before each of the six statements of its look for work; after them it sleeps."""
    floor = Floor(tmp_path, workers=1)
    floor.outside.jobs.decide([floor.job], OperatorMove.CANCEL)
    stands, goes_on, asleep, seen = threading.Event(), threading.Event(), threading.Event(), list[str]()
    claim, work = floor.bench.jobs.claim, floor.bench.pool._work  # noqa: SLF001 - nothing else tells that it sleeps
    sleep = work.wait_for

    def about_to(sql: str) -> None:
        if seen[-1:] != [sql]:  # a trigger begins: the driver names the statement that fired it once more
            seen.append(sql)
        if len(seen) == statement + 1 and not stands.is_set():
            stands.set()
            goes_on.wait(PATIENCE_SECONDS)

    def watched(launch_id: int, now: datetime) -> ClaimedJob | None:
        floor.bench.database.connection().set_trace_callback(about_to)
        return claim(launch_id, now)

    def fall_asleep(predicate: Callable[[], bool], timeout: float) -> bool:
        asleep.set()
        return sleep(predicate, timeout)

    monkeypatch.setattr(floor.bench.jobs, "claim", watched)
    monkeypatch.setattr(work, "wait_for", fall_asleep)
    try:
        floor.bench.pool.start()
        until(lambda: stands.is_set() or (statement == len(seen) == 6 and asleep.is_set()), what="it to be held")
        queued: list[int] = []

        def enqueue() -> None:
            queued.append(floor.outside.jobs.enqueue(NewJob("/new", "nas"), START).job_id)
            floor.bench.pool.wake()  # the watchdog has noticed the commit

        sync = threading.Thread(target=enqueue, daemon=True)
        sync.start()
        sync.join(0.3)  # time: inside the worker's transaction it has to wait for the lock
        goes_on.set()
        sync.join(PATIENCE_SECONDS)
        until(lambda: floor.bench.state(queued[0]) == "verified", what="the run to be claimed at once")
    finally:
        goes_on.set()
        floor.close()

"""What is told of what happens in a real database, whichever process did it, on a clock of the test's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support import given
from tests.support.program import until
from tests.support.virtual_quit import VirtualClock

from exlab_wizard.desktop.notifications.messages import Notice
from exlab_wizard.desktop.notifications.port import Reaction, ReactionKind
from exlab_wizard.desktop.notifications.watcher import NotificationWatcher
from exlab_wizard.domain.job import JobState, OperatorMove, WaitReason
from exlab_wizard.domain.outcome import Decision
from exlab_wizard.paths import StateDir
from exlab_wizard.store.queue.launches import Recovery
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.store import Store

AWAY = Decision(
    JobState.QUEUED,
    "waits: destination_offline",
    attempt_given_back=True,
    not_before=given.later(600),
    waiting_on=WaitReason.DESTINATION_OFFLINE,
)


@dataclass
class Board:
    """Keeps what it was to show."""

    shown: list[Notice] = field(default_factory=list)
    tell: Callable[[Reaction], None] = print

    def show(self, notice: Notice, tell: Callable[[Reaction], None]) -> None:
        self.shown.append(notice)
        self.tell = tell

    def titles(self) -> list[str]:
        return [notice.title for notice in self.shown]

    def bodies(self) -> list[str]:
        return [notice.body for notice in self.shown]


class Bench:
    """A watcher over a database, and what a worker does in it."""

    def __init__(self, store: Store, recovery: Recovery | None = None) -> None:
        self.store = store
        self.recovery = recovery or given.launch(store)
        self.clock, self.board, self.quiet, self.over = VirtualClock(), Board(), False, False
        self.asked_whether_over = 0
        self.watcher = NotificationWatcher(
            store,
            self.board.show,
            self.recovery,
            self.clock,
            quiet=lambda: self.quiet,
            offline_after_s=lambda: 600.0,
            over=self.is_over,
        )

    def is_over(self) -> bool:
        self.asked_whether_over += 1
        return self.over

    def look(self, after_s: float = 0.0) -> float | None:
        """Look after so many seconds."""
        self.clock.seconds += after_s
        return self.watcher.poll()

    def finish(self, decision: Decision, *names: str) -> None:
        for name in names:
            given.enqueue(self.store, name)
            assert self.store.jobs.finish(given.claim(self.store, self.recovery.launch_id), decision, given.NOW)


@pytest.fixture
def state_dir(tmp_path: Path) -> StateDir:
    state_dir = StateDir(tmp_path / "state")
    given.migrate(state_dir)
    return state_dir


@pytest.fixture
def store(state_dir: StateDir) -> Iterator[Store]:
    store = Store(Database(state_dir.database))
    yield store
    store.close()


@pytest.fixture
def bench(store: Store) -> Bench:
    return Bench(store)


def test_fifty_jobs_that_fail_are_one_notification_and_success_is_none(bench: Bench) -> None:
    bench.finish(given.FAILED, *(f"bad-{number}" for number in range(50)))
    given.bring_to(bench.store, bench.recovery.launch_id, JobState.VERIFIED)
    assert bench.look() == 5.0
    assert bench.look(4.9) == pytest.approx(0.1)
    assert bench.look(0.1) is None
    assert bench.board.titles() == ["50 runs were not synced"]


def test_more_failures_than_one_look_reads_are_all_counted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exlab_wizard.store.reports.events._FAILURES_AT_ONCE", 7)
    bench.finish(given.FAILED, *(f"bad-{number}" for number in range(21)))
    for _ in range(4):
        bench.look(1.0)
    bench.look(5.0)
    assert bench.board.titles() == ["21 runs were not synced"]


def test_what_failed_before_this_launch_is_not_told_again(store: Store) -> None:
    before = Bench(store)
    before.finish(given.FAILED, "old")
    bench = Bench(store, before.recovery)
    bench.finish(given.FAILED, "new")
    bench.look()
    bench.look(5.0)
    assert bench.board.bodies() == ["new to nas: log in again"]


def test_a_failure_that_was_seen_is_not_counted_with_the_next(bench: Bench) -> None:
    for name in ("first", "second"):
        bench.finish(given.FAILED, name)
        bench.look()
        bench.look(5.0)
        bench.board.tell(Reaction(ReactionKind.DISMISSED))
    assert bench.board.bodies() == ["first to nas: log in again", "second to nas: log in again"]


def test_a_failure_that_only_expired_is_counted_with_the_next(bench: Bench) -> None:
    for name in ("first", "second"):
        bench.finish(given.FAILED, name)
        bench.look()
        bench.look(5.0)
        bench.board.tell(Reaction(ReactionKind.EXPIRED))
    assert bench.board.titles()[1] == "2 runs were not synced"


def test_nothing_is_told_while_the_window_is_looked_at_nor_afterwards(bench: Bench) -> None:
    bench.quiet = True
    bench.finish(given.FAILED, "bad")
    bench.look()
    bench.quiet = False
    bench.look(10.0)
    assert bench.board.titles() == []


def test_a_failure_that_was_retried_before_it_was_told_is_none(bench: Bench) -> None:
    bench.finish(given.FAILED, "bad")
    bench.store.jobs.decide([1], OperatorMove.RETRY)
    bench.look()
    bench.look(5.0)
    assert bench.board.titles() == []


def test_an_outage_of_ten_minutes_is_told_and_that_it_is_over_when_a_run_has_arrived(bench: Bench) -> None:
    bench.finish(AWAY, "run")
    assert bench.look() == 600.0
    assert bench.look(599.0) == 1.0
    bench.look(1.0)
    assert bench.board.titles() == ["nas has been offline for 10 min"]
    bench.store.jobs.release("nas", WaitReason.DESTINATION_OFFLINE)
    assert bench.look(60.0) == 10.0
    bench.look(10.0)
    assert len(bench.board.shown) == 1
    job = given.claim(bench.store, bench.recovery.launch_id)
    assert bench.store.jobs.all_sent(job.job_id, job.claim_id)
    bench.look(1.0)
    assert bench.board.titles()[1:] == ["nas is back online"]
    bench.look(600.0)
    assert len(bench.board.shown) == 2


def test_that_all_waiting_jobs_were_cancelled_is_no_proof_that_it_is_back(bench: Bench) -> None:
    bench.finish(AWAY, "run")
    bench.look()
    bench.look(600.0)
    bench.store.jobs.decide([1], OperatorMove.CANCEL)
    for _ in range(3):
        bench.look(60.0)
    assert len(bench.board.shown) == 1


def test_the_thread_tells_the_recovery_and_what_another_process_did(
    bench: Bench, state_dir: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exlab_wizard.desktop.notifications.watcher.POLL_INTERVAL_SECONDS", 0.01)
    bench.watcher = NotificationWatcher(
        bench.store,
        bench.board.show,
        Recovery(2, True, False, 1, 1, 0, 0),  # noqa: FBT003 - in the order of the class
        bench.clock,
        quiet=lambda: False,
        offline_after_s=lambda: 600.0,
        over=bench.is_over,
    )
    bench.watcher.start()
    until(lambda: bench.board.titles() == ["1 run resumed"])
    (job,) = given.enqueue(bench.store, "bad")
    other = Store(Database(state_dir.database))
    try:
        assert other.jobs.finish(given.claim(other, bench.recovery.launch_id), given.FAILED, given.NOW)
    finally:
        other.close()

    def told() -> bool:
        bench.clock.seconds += 1.0
        bench.watcher.changed()
        return len(bench.board.shown) == 2

    until(told)
    assert bench.board.shown[1].page == f"/runs/{job}"
    bench.watcher.stop()
    assert bench.watcher.alive


def test_once_the_quit_is_over_the_database_is_left_alone(bench: Bench) -> None:
    bench.over = True
    bench.store.close()
    bench.watcher.start()
    until(lambda: bench.asked_whether_over, what="the watcher to look whether the quit is over")
    bench.watcher.changed()
    assert bench.watcher.alive
    bench.watcher.stop()
    assert not bench.store.database.path.with_name("exlab-wizard.db-wal").exists()


def test_a_database_that_cannot_be_read_is_one_line_and_looked_at_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("exlab_wizard.desktop.notifications.watcher.POLL_INTERVAL_SECONDS", 0.01)
    path = bench.store.database.path
    bench.store.close()
    path.rename(path.with_suffix(".away"))
    path.mkdir()
    bench.watcher.start()
    until(lambda: "cannot read what to notify" in caplog.text)
    path.rmdir()
    path.with_suffix(".away").rename(path)
    bench.finish(given.FAILED, "bad")

    def told() -> bool:
        bench.clock.seconds += 1.0
        bench.watcher.changed()
        return bench.board.bodies() == ["bad to nas: log in again"]

    until(told)
    bench.watcher.stop()
    assert caplog.text.count("cannot read what to notify") == 1

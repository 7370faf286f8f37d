"""The watchdog: leases stay true when the clock is set, other programs' changes are noticed, whatever error occurs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.bench import START, Bench
from tests.support.program import PATIENCE_SECONDS, until

from exlab_wizard.domain.clock import from_text, to_text
from exlab_wizard.domain.quit import QuitTrigger
from exlab_wizard.domain.views import SessionKind
from exlab_wizard.errors import StoreError
from exlab_wizard.process.safe_mode import SAFE_MODE_SECONDS, UNHEALTHY_LAUNCHES, SafeMode
from exlab_wizard.process.steady_clock import SteadyClock
from exlab_wizard.store.queue.launches import ThisProcess
from exlab_wizard.store.queue.quits import PendingQuit
from exlab_wizard.store.queue.sessions import NewSession
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.store import Store
from exlab_wizard.tray.quit_gate import StorePredicate
from exlab_wizard.workers.pool import WorkerPool
from exlab_wizard.workers.watchdog import Watchdog

TTL = 60.0


class Calls(WorkerPool):
    """Stands for the worker pool; remembers which calls it got."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.errors: list[Exception] = []

    def wake(self) -> None:
        self.said.append("wake")

    def stop_for_pause(self) -> None:
        self.said.append("pause")

    def drop_lost_claims(self) -> None:
        if self.errors:
            raise self.errors.pop()
        self.said.append("drop")

    def give_up_stalled(self) -> None:
        self.said.append("stalled")

    def requeue_orphans(self) -> None:
        self.said.append("orphans")


class Kept:
    """A watchdog over a bench, looked at step by step, and another process beside it."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.calls, self.changes = bench, Calls(), 0
        self.quits: list[PendingQuit] = []
        self.outside = Store(Database(bench.database.path))
        self.clock = SteadyClock(bench.clock)
        self.safe_mode = SafeMode(bench.store, bench.launch_id, bench.clock)
        self.watchdog = Watchdog(
            bench.store,
            bench.settings,
            self.calls,
            bench.launch_id,
            self.clock,
            safe_mode=self.safe_mode,
            quit_asked=self.quits.extend,
            changed=self._changed,
        )

    def _changed(self) -> None:
        self.changes += 1

    def open_lease(self) -> str:
        session = NewSession(SessionKind.RUN, "acquisition", TTL)
        return self.bench.store.sessions.open(session, self.bench.launch_id, self.bench.clock.now()).id

    def lease(self, lease_id: str) -> tuple[str, float]:
        """Return the state, and the seconds that are left on today's clock."""
        found = self.bench.store.sessions.find(lease_id)
        assert found is not None
        return found.state.value, (found.expires_at - self.bench.clock.now()).total_seconds()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    """Return a watchdog that is not started: a test calls what its thread would."""
    kept = Kept(Bench(tmp_path))
    yield kept
    kept.watchdog.stop()
    kept.outside.close()
    kept.bench.close()


def test_when_safe_mode_ends_by_itself_the_workers_are_woken_and_held_back_no_more(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    process = ThisProcess("lab-1", "boot-1", 2, to_text(START), "0")
    recovery = [bench.store.launches.recover(process, START) for _ in range(UNHEALTHY_LAUNCHES)][-1]
    bench.launch_id = recovery.launch_id
    kept = Kept(bench)
    kept.safe_mode.begin(recovery)
    for _ in range(2):
        kept.watchdog.poll()
        kept.watchdog.chores()
    assert "pause" in kept.calls.said
    bench.clock.pass_time(SAFE_MODE_SECONDS)
    kept.watchdog.chores()
    kept.calls.said.clear()
    kept.watchdog.poll()
    kept.watchdog.chores()
    assert "wake" in kept.calls.said
    assert "pause" not in kept.calls.said
    kept.watchdog.stop()
    kept.outside.close()
    bench.close()


@pytest.mark.parametrize("hours", [1, -1, 24 * 365])
def test_leases_keep_their_time_when_the_clock_is_set(kept: Kept, hours: int) -> None:
    lease = kept.open_lease()
    kept.bench.clock.pass_time(10)
    kept.watchdog.chores()
    kept.bench.clock.wall += timedelta(hours=hours)
    kept.watchdog.chores()
    assert kept.lease(lease) == ("active", TTL - 10)
    kept.bench.clock.pass_time(TTL)
    kept.watchdog.chores()
    assert kept.lease(lease)[0] == "expired"


def test_a_clock_step_that_cannot_be_written_at_once_is_made_up_for(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = kept.open_lease()
    move, left = kept.bench.store.sessions.move_clock, [StoreError("database is locked")]

    def unlucky(step: timedelta) -> None:
        if left:
            raise left.pop()
        move(step)

    monkeypatch.setattr(kept.bench.store.sessions, "move_clock", unlucky)
    kept.bench.clock.wall += timedelta(hours=2)
    with pytest.raises(StoreError):
        kept.watchdog.chores()
    assert kept.lease(lease)[0] == "active"
    kept.bench.clock.pass_time(1)
    kept.watchdog.chores()
    assert kept.lease(lease) == ("active", TTL - 1)


@pytest.mark.parametrize("hours", [8, -1])
def test_a_machine_that_wakes_up_while_it_drains_neither_ends_a_session_nor_makes_it_a_zombie(
    kept: Kept, hours: int
) -> None:
    """Drain and client are quicker than the watchdog: for up to a second they read leases that have not moved yet."""
    lease, predicate = kept.open_lease(), StorePredicate(kept.bench.store, kept.clock)
    kept.bench.clock.wall += timedelta(hours=hours)
    assert not predicate.count().idle, "the quit would have cut the session off"
    assert kept.bench.store.sessions.renew(lease, kept.clock.now()) is not None, "the client would have given up"
    opened_now = kept.bench.store.sessions.open(
        NewSession(SessionKind.RUN, "next", TTL), kept.bench.launch_id, kept.clock.now()
    )
    kept.watchdog.chores()
    assert [kept.lease(one) for one in (lease, opened_now.id)] == [("active", TTL)] * 2
    kept.bench.clock.pass_time(TTL)
    kept.watchdog.chores()
    assert predicate.count().idle, "without heartbeats it holds nothing back for hours"


def test_a_drain_never_looks_between_leases_that_have_moved_and_a_clock_that_has_not(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.open_lease()
    predicate, move = StorePredicate(kept.bench.store, kept.clock), kept.bench.store.sessions.move_clock
    looks: list[bool] = []
    drain = threading.Thread(target=lambda: looks.append(predicate.count().idle), daemon=True)

    def look_right_after(step: timedelta) -> None:
        move(step)
        drain.start()
        drain.join(0.2)  # time: unhindered, it would be over by then

    monkeypatch.setattr(kept.bench.store.sessions, "move_clock", look_right_after)
    kept.bench.clock.wall -= timedelta(hours=1)
    kept.watchdog.chores()
    drain.join(PATIENCE_SECONDS)
    assert looks == [False]


def test_small_corrections_of_the_clock_move_nothing(kept: Kept) -> None:
    lease = kept.open_lease()
    kept.bench.clock.wall += timedelta(seconds=0.5)
    kept.watchdog.chores()
    assert kept.lease(lease) == ("active", TTL - 0.5)


def test_a_lease_without_heartbeats_is_closed_and_the_drain_hears_of_it(kept: Kept) -> None:
    lease, renewed = kept.open_lease(), kept.open_lease()
    kept.bench.clock.pass_time(TTL - 1)
    kept.bench.store.sessions.renew(renewed, kept.bench.clock.now())
    kept.watchdog.chores()
    assert (kept.lease(lease)[0], kept.changes) == ("active", 0)
    kept.bench.clock.pass_time(2)
    kept.watchdog.chores()
    assert (kept.lease(lease)[0], kept.changes) == ("expired", 1)
    assert kept.lease(renewed)[0] == "active"


def test_leases_are_kept_and_ended_during_the_drain_as_before(kept: Kept) -> None:
    """A watchdog that stopped with the first step of a quit would let a dead client's lease hold it up for ever."""
    dead, alive = kept.open_lease(), kept.open_lease()
    kept.bench.store.launches.drain(kept.bench.launch_id, START)
    kept.bench.clock.pass_time(TTL - 1)
    assert kept.bench.store.sessions.renew(alive, kept.clock.now()) is not None
    kept.bench.clock.pass_time(2)
    kept.watchdog.chores()
    assert [kept.lease(one)[0] for one in (dead, alive)] == ["expired", "active"]
    assert kept.changes == 1, "the drain has heard of it"


def test_times_written_by_hand_keep_no_chore_from_being_done(kept: Kept) -> None:
    lease, job = kept.open_lease(), kept.bench.enqueue("/runs/a")
    connection = kept.outside.database.connection()
    connection.execute("UPDATE session_leases SET expires_at = 'soon'")
    connection.execute(f"UPDATE sync_jobs SET not_before = 'soon' WHERE id = {job}")
    kept.watchdog.chores()
    assert kept.calls.said == ["stalled", "orphans"]
    assert kept.lease(lease)[0] == "active"
    assert kept.bench.store.jobs.next_due_at() is None, "a worker must not wait for 1970, that is without a pause"


def test_settings_are_read_again_when_the_file_changes(kept: Kept) -> None:
    config = kept.bench.settings.path
    config.write_text(config.read_text("utf-8").replace("stall_s = 60", "stall_s = 77"), encoding="utf-8")
    kept.watchdog.chores()
    assert kept.bench.settings.current.sync.stall_s == 77
    assert "wake" in kept.calls.said


@pytest.mark.parametrize("text", ["[sync]\nworkers = 0\n", "[sync", "[sync]\nunknown = 1\n", "\udcff"])
def test_invalid_new_settings_keep_the_old_ones_and_are_named_once(
    kept: Kept, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = kept.bench.settings.current
    kept.bench.settings.path.write_bytes(text.encode(errors="surrogateescape"))
    with caplog.at_level(logging.ERROR):
        kept.watchdog.chores()
        kept.watchdog.chores()
    assert kept.bench.settings.current == before
    assert [str(kept.bench.settings.path) in record.getMessage() for record in caplog.records] == [True]


def test_what_another_process_commits_wakes_the_workers_and_nothing_else_does(kept: Kept) -> None:
    kept.watchdog.poll()
    kept.calls.said.clear()
    kept.watchdog.poll()
    assert kept.calls.said == []
    kept.outside.quits.request(kept.bench.launch_id, QuitTrigger.CLI, START)
    kept.watchdog.poll()
    assert kept.calls.said == ["wake", "drop"]
    assert [quit_.trigger for quit_ in kept.quits] == [QuitTrigger.CLI]


def test_a_change_that_an_error_kept_from_being_noticed_is_noticed_at_the_next_look(kept: Kept) -> None:
    kept.watchdog.poll()
    kept.outside.quits.request(kept.bench.launch_id, QuitTrigger.CLI, START)
    kept.calls.errors.append(StoreError("database is locked"))
    with pytest.raises(StoreError):
        kept.watchdog.poll()
    assert kept.quits == []
    kept.watchdog.poll()
    assert len(kept.quits) == 1


def test_no_error_ends_the_watchdog(kept: Kept) -> None:
    kept.calls.errors += [ValueError("no such moment"), StoreError("database is locked")]
    kept.watchdog.start()
    until(lambda: not kept.calls.errors and "drop" in kept.calls.said, what="the watchdog to look again")


def test_a_launch_that_lives_for_some_seconds_is_healthy(kept: Kept) -> None:
    healthy = "SELECT healthy_at FROM launches WHERE id = ?"

    def noted() -> str | None:
        at: str | None = kept.bench.database.connection().execute(healthy, (kept.bench.launch_id,)).fetchone()[0]
        return at

    kept.bench.clock.pass_time(4)
    kept.watchdog.chores()
    assert noted() is None
    kept.bench.clock.pass_time(2)
    kept.watchdog.chores()
    at = noted()
    assert at is not None
    assert from_text(at) == START + timedelta(seconds=6)
    kept.bench.clock.pass_time(2)
    kept.watchdog.chores()
    assert noted() == at


def test_stopping_a_watchdog_that_never_started_or_twice_is_harmless(kept: Kept) -> None:
    kept.watchdog.stop()
    kept.watchdog.start()
    kept.watchdog.stop()
    kept.watchdog.stop()

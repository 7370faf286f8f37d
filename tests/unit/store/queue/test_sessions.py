"""Session leases: they hold back a quit as long as somebody renews them, and never longer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.support import given

from exlab_wizard.domain.clock import to_text
from exlab_wizard.domain.job import ErrorKind, JobState
from exlab_wizard.domain.outcome import Decision
from exlab_wizard.domain.views import LeaseState, SessionKind
from exlab_wizard.errors import RefusedError, StoreError
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.store.queue.sessions import NewSession
from exlab_wizard.store.store import Store

SCAN = NewSession(SessionKind.RUN, "scan", 60.0, operator="ada", equipment_id="sem", run_path="/runs/\udcff")


def active(store: Store, seconds: float = 0) -> int:
    return store.drain.count(given.later(seconds)).active_sessions


def test_a_session_lives_until_its_ttl_and_each_heartbeat_gives_a_fresh_one(store: Store, launch_id: int) -> None:
    lease = store.sessions.open(SCAN, launch_id, given.NOW)
    assert lease.expires_at == given.later(60) == store.sessions.next_expiry()
    assert store.sessions.renew(lease.id, given.later(59.5)) == given.later(119.5)
    assert (active(store, 119.4), active(store, 119.5)) == (1, 0), "what ran out holds nothing back, swept or not"
    assert store.sessions.renew(lease.id, given.later(119.5)) is None
    assert store.sessions.expire(given.later(119.4)) == 0
    assert store.sessions.expire(given.later(119.5)) == 1
    assert store.sessions.next_expiry() is None
    found = store.sessions.find(lease.id)
    assert found is not None
    assert found.state is LeaseState.EXPIRED
    assert given.execute(store, "SELECT closed_at FROM session_leases") == [("2026-03-01T12:01:59.500Z",)]


def test_completing_queues_the_runs_and_closes_the_lease_once(store: Store, launch_id: int) -> None:
    lease = store.sessions.open(SCAN, launch_id, given.NOW)
    runs = [NewJob("/runs/1", "nas", session_id=lease.id), NewJob("/runs/2", "nas", session_id=lease.id)]
    queued = store.sessions.complete(lease.id, runs, given.later(5))
    assert queued is not None
    assert [one.created for one in queued] == [True, True]
    assert active(store) == 0
    assert store.sessions.complete(lease.id, [NewJob("/runs/3", "nas")], given.later(6)) is None
    assert given.execute(store, "SELECT count(*), min(session_id) FROM sync_jobs") == [(2, lease.id)]
    assert not store.sessions.abort(lease.id, given.NOW)
    assert store.sessions.renew(lease.id, given.NOW) is None


def test_a_completion_that_is_asked_for_again_answers_the_jobs_that_it_queued_or_found_pending(
    store: Store, launch_id: int
) -> None:
    lease = store.sessions.open(SCAN, launch_id, given.NOW)
    (pending,) = given.enqueue(store, "pending")
    runs = [NewJob("/runs/pending", "nas"), NewJob("/runs/new", "nas", session_id=lease.id)]
    queued = store.sessions.complete(lease.id, runs, given.later(5))
    assert queued is not None
    assert store.sessions.jobs_of_completed(lease.id, runs) == [one.job_id for one in queued] == [pending, 2]
    for _ in runs:
        store.jobs.finish(given.claim(store, launch_id), Decision(JobState.CANCELLED, "done with"), given.later(9))
    assert store.sessions.jobs_of_completed(lease.id, runs) == [pending, 2]


def test_a_run_that_was_synced_long_before_is_no_part_of_a_completion(store: Store, launch_id: int) -> None:
    """Files may have been added to it since: taking the old job for the answer would leave them behind."""
    old = given.bring_to(store, launch_id, JobState.VERIFIED)
    lease = store.sessions.open(SCAN, launch_id, given.later(5))
    assert store.sessions.complete(lease.id, [], given.later(6)) == []
    run = str(given.row(store, old)["run_path"])
    assert store.sessions.jobs_of_completed(lease.id, [NewJob(run, "nas")]) is None


def test_a_completion_that_fails_midway_leaves_the_lease_active_and_queues_nothing(
    store: Store, launch_id: int
) -> None:
    """Its second run names a session that does not exist; the first must not be queued by itself."""
    lease = store.sessions.open(SCAN, launch_id, given.NOW)
    runs = [NewJob("/runs/1", "nas"), NewJob("/runs/2", "nas", session_id="nobody")]
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        store.sessions.complete(lease.id, runs, given.NOW)
    assert active(store) == 1
    assert given.execute(store, "SELECT count(*) FROM sync_jobs") == [(0,)]
    assert store.sessions.complete(lease.id, runs[:1], given.NOW) is not None


def test_an_aborted_session_queues_nothing_and_holds_nothing_back(store: Store, launch_id: int) -> None:
    lease = store.sessions.open(SCAN, launch_id, given.NOW)
    assert store.sessions.abort(lease.id, given.NOW)
    assert (active(store), given.execute(store, "SELECT count(*) FROM sync_jobs")) == (0, [(0,)])


@pytest.mark.parametrize("hours", [1, -1, 48.5])
def test_a_clock_that_was_set_moves_the_expiries_along(store: Store, launch_id: int, hours: float) -> None:
    lease = store.sessions.open(SCAN, launch_id, given.NOW)
    ended = store.sessions.open(SCAN, launch_id, given.NOW)
    assert store.sessions.abort(ended.id, given.NOW)
    step = timedelta(hours=hours, milliseconds=250)
    store.sessions.move_clock(step)
    found, untouched = store.sessions.find(lease.id), store.sessions.find(ended.id)
    assert found is not None
    assert untouched is not None
    assert found.expires_at == given.later(60) + step
    assert untouched.expires_at == given.later(60)
    assert active(store, step.total_seconds() + 59) == 1
    assert store.sessions.renew(lease.id, given.NOW + step) == given.later(60) + step


@pytest.mark.parametrize(("hours", "waits"), [(-24 * 365, -24 * 365), (8, 0)])
def test_a_clock_that_was_set_back_lets_no_job_wait_longer(
    store: Store, launch_id: int, hours: int, waits: int
) -> None:
    """Time forward may be time that the machine slept, and that counts as waiting."""
    (job_id,) = given.enqueue(store, "a")
    retried = Decision(
        JobState.QUEUED, "tried again: network", not_before=given.later(30), error_kind=ErrorKind.NETWORK
    )
    assert store.jobs.finish(given.claim(store, launch_id), retried, given.NOW)
    store.sessions.move_clock(timedelta(hours=hours))
    assert given.row(store, job_id)["not_before"] == to_text(given.later(30) + timedelta(hours=waits))


def test_no_session_opens_while_the_gate_is_closed_and_the_open_ones_go_on(store: Store, launch_id: int) -> None:
    lease = store.sessions.open(SCAN, launch_id, given.NOW)
    store.launches.drain(launch_id, given.NOW)
    with pytest.raises(RefusedError, match="shutting down"):
        store.sessions.open(SCAN, launch_id, given.NOW)
    assert active(store) == 1
    assert store.sessions.renew(lease.id, given.later(10)) == given.later(70)
    assert store.sessions.complete(lease.id, [NewJob("/runs/1", "nas")], given.NOW) is not None
    store.launches.reopen(launch_id)
    assert store.sessions.open(SCAN, launch_id, given.NOW).state is LeaseState.ACTIVE


def test_a_client_that_lost_the_answer_asks_again_with_its_id_and_gets_the_same_lease(
    store: Store, launch_id: int
) -> None:
    mine = NewSession(SessionKind.PROJECT, "wizard", 60.0, id="mine")
    first = store.sessions.open(mine, launch_id, given.NOW)
    assert store.sessions.open(mine, launch_id, given.later(30)) == first
    store.launches.drain(launch_id, given.NOW)
    assert store.sessions.open(mine, launch_id, given.later(30)) == first
    assert store.sessions.abort("mine", given.NOW)
    assert store.sessions.open(mine, launch_id, given.later(30)).state is LeaseState.ABORTED
    assert store.sessions.find("nobody's") is None

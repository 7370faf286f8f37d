"""Rows for people, also those that somebody wrote by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.support import given

from exlab_wizard.domain.views import SessionKind
from exlab_wizard.errors import StoreError
from exlab_wizard.store.queue.sessions import NewSession
from exlab_wizard.store.store import Store

NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["soon", "", "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"])
def test_a_time_written_by_hand_hides_neither_its_row_nor_the_others(store: Store, launch_id: int, text: str) -> None:
    odd, other = given.enqueue(store, "a", "b")
    store.sessions.open(NewSession(SessionKind.RUN, "scan", 60, id="s"), launch_id, given.NOW)
    given.execute(store, f"UPDATE sync_jobs SET enqueued_at = '{text}', not_before = '{text}' WHERE id = {odd}")
    given.execute(store, f"UPDATE session_leases SET opened_at = '{text}'")
    given.execute(store, f"UPDATE launches SET started_at = '{text}', draining_since = '{text}'")
    jobs = {job.id: job for job in store.rows.jobs(limit=10)}
    assert (jobs[odd].enqueued_at, jobs[odd].not_before) == (NO_TIME, NO_TIME)
    assert jobs[other].enqueued_at == given.NOW
    assert [event.at for event in store.rows.events(odd)] == [NO_TIME]
    assert [job.id for job in store.activity.retried()] == [odd]
    assert [it.jobs for it in store.metrics.unfinished()] == [2]
    assert [session.id for session in store.status.read().sessions] == ["s"]
    assert [(it.id, it.started_at, it.draining_since) for it in store.rows.launches(limit=1)] == [
        (launch_id, NO_TIME, NO_TIME)
    ]


def test_a_row_that_nothing_can_stand_in_for_is_named(store: Store) -> None:
    (job,) = given.enqueue(store, "a")
    given.execute(store, f"INSERT INTO job_events (job_id, at, to_state) VALUES ({job}, 'now', 'asleep')")
    assert store.events.moves(0, 9)[-1].to_state == "asleep"  # the stream goes on
    with pytest.raises(StoreError, match=r"to_state is 'asleep' \(id 1\)"):
        store.rows.events(job)


def test_a_run_that_was_verified_with_sql_is_listed_with_its_time(store: Store, launch_id: int) -> None:
    (job,) = given.enqueue(store, "a")
    for state in ("running", "verifying", "verified"):
        given.execute(
            store, f"UPDATE sync_jobs SET state = '{state}', claim_id = 'c', launch_id = {launch_id} WHERE id = {job}"
        )
    (verified,) = store.activity.verified()
    assert verified.id == job
    assert verified.verified_at == store.rows.events(job)[-1].at


def test_a_job_that_was_inserted_by_hand_holds_up_no_other(store: Store, launch_id: int) -> None:
    given.execute(store, "INSERT INTO sync_jobs (run_path, destination, enqueued_at) VALUES ('/runs/a', 'nas', 'now')")
    (other,) = given.enqueue(store, "b")
    assert [given.claim(store, launch_id).job_id for _ in range(2)] == [1, other]

"""What is asked often costs what is pending, never what was: plans by name, and steps of SQLite's machine counted."""

from __future__ import annotations

import re

import pytest
from tests.support import given

from exlab_wizard.domain.views import SessionKind
from exlab_wizard.store import figures
from exlab_wizard.store.queue import checkpoints, claims, drain, jobs, launches, quits, sessions
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.store.queue.sessions import NewSession
from exlab_wizard.store.reports import activity, events, metrics, rows, status
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.store import Store

BY_ID = "sync_jobs USING INTEGER PRIMARY KEY"
IN_FLIGHT = "jobs_unsettled (state=?)"
LEASE_BY_ID = "sqlite_autoindex_session_leases_1 (id=?)"
PLANS: dict[str, tuple[Statement, tuple[str, ...]]] = {
    "claim": (
        claims.CLAIM,
        (BY_ID, "SCAN sync_jobs USING INDEX jobs_due", IN_FLIGHT, "launches USING INTEGER PRIMARY"),
    ),
    "promote": (claims.PROMOTE_DUE, ("SEARCH sync_jobs USING INDEX jobs_delayed",)),
    "finish": (claims.FINISH, (BY_ID,)),
    "all sent": (claims.ALL_SENT, (BY_ID,)),
    "still claimed": (claims.STILL_CLAIMED, (BY_ID,)),
    "interrupt": (jobs.INTERRUPT_LAUNCH, (IN_FLIGHT,)),
    "find": (jobs.FIND_UNFINISHED, ("jobs_one_unfinished (run_path=? AND destination=?)",)),
    "hold": (jobs.HOLD_DESTINATION, ("USING INDEX jobs_due",)),
    "release": (jobs.RELEASE_DESTINATION, ("SEARCH sync_jobs USING INDEX jobs_waiting",)),
    "waiting": (jobs.WAITING_DESTINATIONS, ("USING INDEX jobs_waiting",)),
    "next due": (jobs.NEXT_DUE_AT, ("SEARCH sync_jobs USING COVERING INDEX jobs_delayed",)),
    "state": (jobs.STATE_OF, (BY_ID,)),
    "count": (drain.COUNT, ("COVERING INDEX leases_active (expires_at>?)", f"COVERING INDEX {IN_FLIGHT}")),
    "blockers": (drain.BLOCKERS, ("leases_active (expires_at>?)", IN_FLIGHT)),
    "glance": (
        status.SUMMARY,
        ("leases_active (expires_at>?)", "INDEX jobs_due", "INDEX jobs_delayed", IN_FLIGHT, "launches USING INTEGER"),
    ),
    "renew": (sessions.RENEW, (LEASE_BY_ID,)),
    "close": (sessions.CLOSE, (LEASE_BY_ID,)),
    "expire": (sessions.EXPIRE, ("leases_active (expires_at<?)",)),
    "next expiry": (sessions.NEXT_EXPIRY, ("leases_active",)),
    "move clock": (sessions.MOVE_CLOCK, ("USING INDEX leases_active",)),
    "progress": (checkpoints.SET_PROGRESS, (BY_ID,)),
    "manifest": (checkpoints.LOAD_FILES, ("sync_files USING PRIMARY KEY (job_id=?)",)),
    "close dead": (launches.CLOSE_DEAD, ("launches_open",)),
    "left in flight": (launches.LEFT_IN_FLIGHT, ("jobs_unsettled", "SEARCH launches USING INTEGER PRIMARY KEY")),
    "crash loops": (launches.FAIL_CRASH_LOOPS, (IN_FLIGHT,)),
    "requeue": (launches.REQUEUE_IN_FLIGHT, (IN_FLIGHT,)),
    "requeue resumable": (launches.REQUEUE_RESUMABLE, ("jobs_unsettled (state=?)",)),
    "renew leases": (launches.RENEW_LEASES, ("USING INDEX leases_active",)),
    "open launch": (launches.OPEN_LAUNCH, ("launches_open",)),
    "on their way": (rows.IN_FLIGHT, (IN_FLIGHT,)),
    "due": (activity.DUE, ("USING INDEX jobs_due",)),
    "tried again": (activity.RETRIED, ("USING INDEX jobs_delayed",)),
    "counts": (status.COUNTS, ("jobs_unsettled (state=?)",)),
    "at work": (rows.ACTIVE_SESSIONS, ("leases_active",)),
    "newest": (events.NEWEST, ("SEARCH job_events", "SEARCH sync_jobs")),
    "unfinished": (figures.UNFINISHED, ("INDEX jobs_one_unfinished",)),
    "failures": (events.FAILURES, ("e USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)", "j USING INTEGER PRIMARY KEY")),
    "failed by destination": (figures.FAILED_BY_DESTINATION, ("jobs_unsettled (state=?)",)),
    "leased by kind": (metrics.ACTIVE_SESSIONS, ("leases_active (expires_at>?)",)),
    "waiting by destination": (figures.WAITING, ("jobs_waiting",)),
    "sending": (events.BYTES_SENT, (IN_FLIGHT,)),
    "arrived": (events.HAS_ARRIVED, ("e USING INTEGER PRIMARY KEY (rowid>?)", "j USING INTEGER PRIMARY KEY")),
    "undecided quits": (quits.UNDECIDED, ("quits_undecided (launch_id=?)",)),
}
WHOLE_TABLE = re.compile(r"^SCAN \w+( USING (INTEGER )?PRIMARY KEY)?$")


def plan(store: Store, statement: Statement) -> list[str]:
    params = [1] * len(statement.names)
    rows = store.database.connection().execute(f"EXPLAIN QUERY PLAN {statement.sql}", params).fetchall()
    return [str(step[3]) for step in rows]


@pytest.mark.parametrize("name", PLANS)
def test_a_hot_statement_uses_its_index_and_scans_no_table(store: Store, name: str) -> None:
    statement, wanted = PLANS[name]
    steps = plan(store, statement)
    for index in wanted:
        assert any(index in step for step in steps), steps
    assert [step for step in steps if WHOLE_TABLE.match(step)] == []


def test_a_scan_of_a_table_would_be_noticed(store: Store) -> None:
    sql = given.execute(store, "EXPLAIN QUERY PLAN SELECT * FROM sync_jobs WHERE error_detail = 'x'")
    assert WHOLE_TABLE.match(str(sql[0][3]))


def a_day(store: Store, name: str) -> dict[str, int]:
    """One of everything that happens often, with what each costs."""
    cost: dict[str, int] = {}
    launch_id = given.launch(store).launch_id
    cost["enqueue"] = given.steps_of(store, lambda: given.enqueue(store, name))
    job = given.claim(store, launch_id)
    given.enqueue(store, f"{name}-2")
    cost["count"] = given.steps_of(store, lambda: store.drain.count(given.NOW))
    cost["checkpoint"] = given.steps_of(
        store,
        lambda: store.files.checkpoint(job.job_id, job.claim_id, [given.sent("x", 9, 9)], [], given.progress(9)),
    )
    store.jobs.all_sent(job.job_id, job.claim_id)
    cost["finish and claim"] = given.steps_of(
        store, lambda: store.jobs.finish_and_claim(job, given.DONE, launch_id, given.NOW)
    )
    new = NewSession(SessionKind.RUN, "scan", 60, id=name)
    cost["open"] = given.steps_of(store, lambda: store.sessions.open(new, launch_id, given.NOW))
    cost["renew"] = given.steps_of(store, lambda: store.sessions.renew(name, given.NOW))
    cost["complete"] = given.steps_of(
        store, lambda: store.sessions.complete(name, [NewJob(f"/{name}", "nas")], given.NOW)
    )
    cost["recover"] = given.steps_of(store, lambda: given.launch(store))
    cost["next due"] = given.steps_of(store, store.jobs.next_due_at)
    given.execute(store, "UPDATE sync_jobs SET state = 'cancelled' WHERE state = 'queued'")
    return cost


def test_nothing_that_happens_often_grows_with_history(store: Store) -> None:
    empty = a_day(store, "first")
    given.execute(
        store,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
        " INSERT INTO sync_jobs (run_path, destination, state, enqueued_at, finished_at)"
        " SELECT '/old/' || i, 'nas', 'verified', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z' FROM n",
    )
    given.execute(
        store,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
        " INSERT INTO session_leases (id, kind, label, state, ttl_s, opened_at, renewed_at, expires_at, closed_at)"
        " SELECT 'old-' || i, 'run', 'x', 'completed', 60, 'a', 'a', 'a', 'a' FROM n",
    )
    full = a_day(store, "second")
    assert {name: steps for name, steps in full.items() if steps > empty[name] * 1.2 + 20} == {}, (empty, full)


def test_what_jobs_wait_for_is_found_among_those_that_wait(store: Store) -> None:
    steps = plan(store, activity.WAITING)
    for index in (
        "sync_jobs USING INDEX jobs_waiting",
        "jobs_waiting (destination=? AND waiting_on=?)",
        "events_by_job (job_id=?)",
    ):
        assert any(index in step for step in steps), steps
    assert not any(re.match(r"SCAN (sync_jobs|job_events|s|e)$", step) for step in steps), steps

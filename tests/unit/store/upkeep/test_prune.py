"""Pruning forgets what was done with long ago and nothing else, in steps that hold nobody up."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from tests.support import given

from exlab_wizard.domain.job import JobState, OperatorMove
from exlab_wizard.errors import StoreError
from exlab_wizard.paths import StateDir
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.store.store import Store
from exlab_wizard.store.upkeep import prune
from exlab_wizard.store.upkeep.invariants import check
from exlab_wizard.store.upkeep.prune import ROWS_AT_ONCE, Prune, PruneResult

LONG_AGO = "2025-01-01T00:00:00.000Z"
BEFORE = given.NOW - timedelta(days=30)
GONE = {JobState.VERIFIED, JobState.CLEANED, JobState.CANCELLED}


def nothing(_done: int, _total: int) -> None:
    pass


def states(store: Store) -> list[str]:
    return [str(state) for (state,) in given.execute(store, "SELECT state FROM sync_jobs ORDER BY id")]


def aged(store: Store, job_id: int, files: int = 2) -> None:
    """Let a job have ended long ago, with some files."""
    given.execute(
        store, f"UPDATE sync_jobs SET finished_at = '{LONG_AGO}' WHERE id = {job_id} AND finished_at NOT NULL"
    )
    given.execute(
        store,
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {files}) INSERT INTO sync_files"
        " (job_id, path, size, mtime_ns, state, bytes_done, sha256)"
        f" SELECT {job_id}, 'file-' || i, 0, 1, 'verified', 0, 'ab' FROM n",
    )


@pytest.fixture
def history(store: Store, launch_id: int) -> list[int]:
    """One old job in every state that waits for nobody to claim it, then two new ones that are verified."""
    jobs = [
        given.bring_to(store, launch_id, state)
        for state in (JobState.VERIFIED, JobState.CLEANED, JobState.CANCELLED, JobState.FAILED, JobState.RESUMABLE)
    ]
    for job in jobs:
        aged(store, job)
    for name in ("recent", "newest"):
        (recent,) = given.enqueue(store, name)
        claimed = given.claim(store, launch_id)
        assert store.jobs.all_sent(recent, claimed.claim_id)
        assert store.jobs.finish(claimed, given.DONE, given.NOW)
    return jobs


def session(store: Store, name: str, state: str, closed_at: str | None) -> None:
    store.database.connection().execute(
        "INSERT INTO session_leases (id, kind, label, ttl_s, opened_at, renewed_at, expires_at, state, closed_at)"
        " VALUES (?, 'run', 'x', 60, 'a', 'a', 'a', ?, ?)",
        (name, state, closed_at),
    )


def test_what_was_over_before_goes_and_everything_else_stays(store: Store, history: list[int]) -> None:
    assert len(history) == 5
    for name, state, at in (("old", "completed", LONG_AGO), ("named", "expired", LONG_AGO), ("open", "active", None)):
        session(store, name, state, at)
    session(store, "late", "aborted", "2026-03-01T00:00:00.000Z")
    given.execute(store, "UPDATE sync_jobs SET session_id = 'named' WHERE state = 'failed'")
    receipts = given.execute(store, "SELECT * FROM launches")
    would = Prune(store.database, BEFORE).preview()
    assert states(store) == ["verified", "cleaned", "cancelled", "failed", "resumable", "verified", "verified"]
    events = given.execute(store, "SELECT count(*) FROM job_events WHERE job_id < 4")[0][0]
    assert would == PruneResult(3, 6, int(str(events)), 1, would.free_bytes)
    told: list[tuple[int, int]] = []
    gone = Prune(store.database, BEFORE).run(lambda done, total: told.append((done, total)))
    assert (gone.jobs, gone.files, gone.events, gone.sessions) == (3, 6, events, 1)
    assert told[-1] == (3, 3)
    assert states(store) == ["failed", "resumable", "verified", "verified"]
    assert given.execute(store, "SELECT DISTINCT job_id FROM sync_files ORDER BY 1") == [(4,), (5,)]
    assert given.execute(store, "SELECT min(job_id) FROM job_events") == [(4,)]
    assert given.execute(store, "SELECT id FROM session_leases ORDER BY rowid") == [("named",), ("open",), ("late",)]
    assert given.execute(store, "SELECT * FROM launches") == receipts
    assert given.execute(store, "PRAGMA foreign_keys") == [(1,)]
    assert [finding for finding in check(store.database) if not finding.ok] == []
    assert Prune(store.database, BEFORE).run(nothing).jobs == 0


@pytest.mark.parametrize("state", JobState)
def test_only_jobs_that_are_done_with_go(store: Store, launch_id: int, state: JobState) -> None:
    job = given.bring_to(store, launch_id, state)
    aged(store, job)
    for name in ("a", "b"):
        store.jobs.decide([store.jobs.enqueue(NewJob(f"/runs/{name}", "nas"), given.NOW).job_id], OperatorMove.CANCEL)
    assert Prune(store.database, BEFORE).run(nothing).jobs == (state in GONE)
    assert (store.jobs.state_of(job) is None) == (state in GONE)


def test_numbers_that_others_remember_are_not_given_out_again(store: Store, launch_id: int) -> None:
    """Who follows the events asks for those after the newest that it knows."""
    first = given.bring_to(store, launch_id, JobState.CANCELLED)
    moved_last = given.bring_to(store, launch_id, JobState.VERIFIED)
    newest = given.enqueue(store, "pending")[0]
    for job in (first, moved_last):
        aged(store, job)
    for name in ("one", "two"):
        session(store, name, "completed", LONG_AGO)
    highest = given.execute(store, "SELECT max(e.id), (SELECT max(rowid) FROM session_leases) FROM job_events e")
    assert Prune(store.database, BEFORE).run(nothing).jobs == 1
    assert [store.jobs.state_of(job) for job in (first, moved_last)] == [None, JobState.VERIFIED]
    assert (
        given.execute(store, "SELECT max(e.id), (SELECT max(rowid) FROM session_leases) FROM job_events e") == highest
    )
    assert given.execute(store, "SELECT max(id) FROM sync_jobs") == [(newest,)]


def test_each_step_is_small_however_long_a_manifest_is(
    store: Store, history: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "_pause", lambda _seconds: None)
    given.execute(store, f"DELETE FROM sync_files WHERE job_id = {history[1]}")
    aged(store, history[1], files=5 * ROWS_AT_ONCE + 7)
    connection = store.database.connection()
    steps = [connection.total_changes]

    def look(statement: str) -> None:
        if statement == "COMMIT":
            steps.append(connection.total_changes)

    connection.set_trace_callback(look)
    gone = Prune(store.database, BEFORE).run(nothing)
    connection.set_trace_callback(None)
    assert gone.files == 5 * ROWS_AT_ONCE + 7 + 4
    sizes = [later - earlier for earlier, later in itertools.pairwise(steps)]
    assert len(sizes) > 5
    assert max(sizes) <= 2 * ROWS_AT_ONCE


def test_a_writer_beside_it_gets_its_turns(
    store: Store, history: list[int], place: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process has to find the lock free when it looks, which it does only now and then."""
    given.execute(store, f"DELETE FROM sync_files WHERE job_id = {history[0]}")
    aged(store, history[0], files=20 * ROWS_AT_ONCE)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        if len(pauses) < 3:
            insert = "INSERT INTO sync_jobs (run_path, destination, enqueued_at)"
            said = given.shell(place.database, f"{insert} VALUES ('/runs/{len(pauses)}', 'nas', 'x')")
            assert said.returncode == 0, said.stderr
        pauses.append(seconds)

    monkeypatch.setattr(prune, "_pause", pause)
    Prune(store.database, BEFORE).run(nothing)
    assert len(pauses) > 20
    assert min(pauses) >= 0.03


def test_what_is_cut_off_goes_on_with_the_next(store: Store, history: list[int]) -> None:
    class Cut(BaseException):
        pass

    def cut(_done: int, _total: int) -> None:
        raise Cut

    given.execute(store, f"DELETE FROM sync_files WHERE job_id = {history[0]}")
    aged(store, history[0], files=ROWS_AT_ONCE)
    with pytest.raises(Cut):
        Prune(store.database, BEFORE).run(cut)
    assert given.execute(store, "PRAGMA foreign_keys") == [(1,)]
    assert [finding for finding in check(store.database) if not finding.ok] == []
    left = Prune(store.database, BEFORE).preview().jobs
    assert 0 < left < 3
    assert Prune(store.database, BEFORE).run(nothing).jobs == left


def test_the_file_becomes_smaller_only_when_it_is_asked_for(store: Store, history: list[int], place: StateDir) -> None:
    given.execute(store, f"DELETE FROM sync_files WHERE job_id = {history[0]}")
    aged(store, history[0], files=10 * ROWS_AT_ONCE)
    store.database.checkpoint()
    pruning = Prune(store.database, BEFORE)
    gone = pruning.run(nothing)
    store.database.checkpoint()
    held = place.database.stat().st_size
    assert gone.free_bytes > held // 2
    assert pruning.shrink(gone).free_bytes == 0
    assert place.database.stat().st_size < held // 2
    given.execute(store, "BEGIN")
    with pytest.raises(StoreError, match="cannot be shrunk"):
        pruning.shrink(gone)
    given.execute(store, "ROLLBACK")

"""The rules hold for everyone who writes SQL: what a person types into the `sqlite3` shell is checked and logged."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from tests.support import given

from exlab_wizard.domain import job as job_module
from exlab_wizard.domain.job import TRANSITIONS, JobState, OperatorMove, legal_moves
from exlab_wizard.errors import MoveRefusedError
from exlab_wizard.paths import StateDir
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.store.store import Store

PAIRS = [pair for pair in itertools.product(JobState, JobState) if pair[0] is not pair[1]]
CLAIMED = ", claim_id = 'by-hand', launch_id = 1"
FINISHED = {JobState.VERIFIED, JobState.CLEANED, JobState.FAILED, JobState.CANCELLED}
IN_FLIGHT = {JobState.RUNNING, JobState.VERIFYING}


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_move_typed_into_the_shell_is_logged_when_legal_and_refused_when_not(
    store: Store, launch_id: int, place: StateDir, source: JobState, target: JobState
) -> None:
    job_id = given.bring_to(store, launch_id, source)
    before, log = given.row(store, job_id), given.moves(store, job_id)
    claimed = CLAIMED if target is JobState.RUNNING else ""
    said = given.shell(place.database, f"UPDATE sync_jobs SET state = '{target}'{claimed} WHERE id = {job_id}")
    after = given.row(store, job_id)
    if target in legal_moves(source):
        assert said.returncode == 0, said.stderr
        assert after["state"] == target
        assert given.moves(store, job_id) == [*log, (source, target)]
        assert (after["finished_at"] is not None) == (target in FINISHED)
        assert (after["claim_id"] is not None) == (target in IN_FLIGHT)
        assert after["waiting_on"] is None
        assert after["not_before"] is None
    else:
        assert said.returncode != 0
        assert f"a {source} job cannot become {target}; from {source} it can become: " in said.stderr
        for move in legal_moves(source) or ("nothing: it is final",):
            assert move in said.stderr
        assert after == before
        assert given.moves(store, job_id) == log


def test_only_a_worker_can_set_a_job_running(store: Store, launch_id: int, place: StateDir) -> None:
    job_id = given.bring_to(store, launch_id, JobState.QUEUED)
    said = given.shell(place.database, f"UPDATE sync_jobs SET state = 'running' WHERE id = {job_id}")
    assert "in_flight_has_claim" in said.stderr
    assert store.jobs.state_of(job_id) is JobState.QUEUED


def test_failed_jobs_are_queued_again_by_one_statement_with_fresh_budgets(
    store: Store, launch_id: int, place: StateDir
) -> None:
    first, second = given.enqueue(store, "a", "b")
    for _ in (first, second):
        assert store.jobs.finish(given.claim(store, launch_id), given.FAILED, given.NOW)
    given.execute(store, "UPDATE sync_jobs SET attempts = 6, crashes = 3, interruptions = 4")
    said = given.shell(place.database, "UPDATE sync_jobs SET state = 'queued' WHERE state = 'failed'")
    assert said.returncode == 0, said.stderr
    for job_id in (first, second):
        found = given.row(store, job_id)
        budgets = ("attempts", "crashes", "error_kind", "error_detail", "not_before", "finished_at", "interruptions")
        assert [found[name] for name in budgets] == [0, 0, None, None, None, None, 4]
        assert found["state_reason"] == "changed with SQL"
    assert store.jobs.claim(launch_id, given.NOW) is not None


def test_a_job_cancelled_by_hand_while_it_waits_keeps_no_wait(store: Store, launch_id: int, place: StateDir) -> None:
    job_id = given.bring_to(store, launch_id, JobState.QUEUED)
    given.execute(
        store, "UPDATE sync_jobs SET waiting_on = 'destination_offline', not_before = '2026-03-01T13:00:00.000Z'"
    )
    assert given.shell(place.database, f"UPDATE sync_jobs SET state = 'cancelled' WHERE id = {job_id}").returncode == 0
    found = given.row(store, job_id)
    assert (found["waiting_on"], found["not_before"]) == (None, None)


@pytest.mark.parametrize("state", JobState)
def test_unfinished_jobs_cannot_be_deleted_and_others_take_their_rows_along(
    store: Store, launch_id: int, place: StateDir, state: JobState
) -> None:
    job_id = given.bring_to(store, launch_id, state)
    given.execute(store, f"INSERT INTO sync_files (job_id, path, size, mtime_ns) VALUES ({job_id}, 'x', 1, 1)")
    given.enqueue(store, "a-newer-one")
    said = given.shell(place.database, f"DELETE FROM sync_jobs WHERE id = {job_id}")
    left = [
        given.execute(store, f"SELECT count(*) FROM {t} WHERE job_id = {job_id}")[0][0]
        for t in ("job_events", "sync_files")
    ]
    if state in FINISHED or state is JobState.FAILED:
        assert said.returncode == 0, said.stderr
        # The shell has foreign keys off: what stayed behind would belong to a later job of the same number.
        assert left == [0, 0]
    else:
        assert "an unfinished job cannot be deleted; set its state to cancelled first" in said.stderr
        assert store.jobs.state_of(job_id) is state
        assert left[1] == 1


@pytest.mark.parametrize("sql", ["UPDATE job_events SET reason = 'nothing happened'", "DELETE FROM job_events"])
def test_events_are_append_only(store: Store, launch_id: int, place: StateDir, sql: str) -> None:
    job_id = given.bring_to(store, launch_id, JobState.VERIFIED)
    before = store.rows.events(job_id)
    assert "job_events is append-only" in given.shell(place.database, sql).stderr
    assert store.rows.events(job_id) == before


def test_a_closed_session_stays_closed(store: Store, launch_id: int, place: StateDir) -> None:
    given.execute(
        store,
        "INSERT INTO session_leases (id, kind, label, ttl_s, opened_at, renewed_at, expires_at, launch_id)"
        f" VALUES ('s', 'run', 'x', 60, 'a', 'a', 'a', {launch_id})",
    )
    assert given.shell(place.database, "UPDATE session_leases SET state = 'aborted'").returncode == 0
    assert given.execute(store, "SELECT closed_at IS NOT NULL FROM session_leases") == [(1,)]
    said = given.shell(place.database, "UPDATE session_leases SET state = 'active'")
    assert "a closed session stays as it is" in said.stderr


def test_state_machine_of_program_database_and_diagram_are_the_same(store: Store) -> None:
    held = given.execute(store, "SELECT from_state, to_state, meaning FROM job_transitions")
    assert set(held) == {(*move, meaning) for move, meaning in TRANSITIONS.items()}
    assert len(held) == len(TRANSITIONS)
    # The rows of the diagram: a chain of arrows each, and the list of what an operator may cancel.
    chain = [JobState.QUEUED, JobState.RUNNING, JobState.VERIFYING, JobState.VERIFIED, JobState.CLEANED]
    drawn = set(itertools.pairwise(chain))
    drawn |= {(source, target) for source in IN_FLIGHT for target in (JobState.RESUMABLE, JobState.FAILED)}
    drawn |= {(source, JobState.QUEUED) for source in (*IN_FLIGHT, JobState.RESUMABLE, JobState.FAILED)}
    text = job_module.__doc__ or ""
    cancelled = re.search(r"└ ([\w |]+)──operator──▶ cancelled", text)
    assert cancelled is not None
    drawn |= {(JobState(word.strip()), JobState.CANCELLED) for word in cancelled[1].split("|")}
    assert drawn == set(TRANSITIONS)
    line = next(line for line in text.splitlines() if "──claim──▶" in line)
    assert re.findall(r"[a-z]+(?= ──|$)", line) == [state.value for state in chain]
    assert "retry later" in text
    assert re.search(r"force quit / crash.*▶ resumable ──next launch──▶ queued", text)
    assert re.search(r"permanent.*▶ failed ──operator retry──▶ queued", text)


def test_a_run_is_pending_once_for_each_destination(store: Store, launch_id: int) -> None:
    first = store.jobs.enqueue(NewJob("/runs/a", "nas"), given.NOW)
    again = store.jobs.enqueue(NewJob("/runs/a", "nas", priority=9), given.NOW)
    assert first.created
    assert (again.job_id, again.created) == (first.job_id, False)
    assert store.jobs.enqueue(NewJob("/runs/a", "tape"), given.NOW).created
    claimed = given.claim(store, launch_id)
    assert store.jobs.enqueue(NewJob("/runs/a", "nas"), given.NOW).job_id == claimed.job_id == first.job_id
    assert store.jobs.finish(claimed, given.FAILED, given.NOW)
    assert store.jobs.enqueue(NewJob("/runs/a", "nas"), given.NOW).created


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_failed_job_is_not_retried_beside_a_pending_one_of_the_same_run(
    store: Store, launch_id: int, place: StateDir, *, by_hand: bool
) -> None:
    (failed,) = given.enqueue(store, "a")
    assert store.jobs.finish(given.claim(store, launch_id), given.FAILED, given.NOW)
    (pending,) = given.enqueue(store, "a")
    before = given.row(store, failed), given.row(store, pending), given.moves(store, failed)
    if by_hand:
        said = given.shell(place.database, "UPDATE sync_jobs SET state = 'queued' WHERE state = 'failed'")
        assert "UNIQUE constraint failed" in said.stderr
    else:
        with pytest.raises(MoveRefusedError, match="another job for the same run and destination is already pending"):
            store.jobs.decide([failed], OperatorMove.RETRY)
    assert (given.row(store, failed), given.row(store, pending), given.moves(store, failed)) == before


def test_the_newest_job_stays_so_that_its_number_is_not_used_again(
    store: Store, launch_id: int, place: StateDir
) -> None:
    older = given.bring_to(store, launch_id, JobState.VERIFIED)
    newest = given.bring_to(store, launch_id, JobState.CANCELLED)
    assert given.shell(place.database, "DELETE FROM sync_jobs").returncode == 0
    assert (store.jobs.state_of(older), store.jobs.state_of(newest)) == (None, JobState.CANCELLED)
    assert store.jobs.enqueue(NewJob("/runs/next", "nas"), given.NOW).job_id == newest + 1


def test_a_finished_job_put_in_by_hand_does_not_pass_for_a_pending_one(store: Store, place: StateDir) -> None:
    insert = (
        "INSERT INTO sync_jobs (run_path, destination, state, enqueued_at) VALUES ('/runs/a', 'nas', 'verified', 'x')"
    )
    assert given.shell(place.database, insert).returncode == 0
    assert store.jobs.enqueue(NewJob("/runs/a", "nas"), given.NOW).created


def test_enqueueing_what_is_pending_writes_nothing(store: Store) -> None:
    given.enqueue(store, "a")
    before = store.database.data_version(), given.execute(store, "SELECT count(*), max(id) FROM sync_jobs")
    given.enqueue(store, "a", "a")
    assert (store.database.data_version(), given.execute(store, "SELECT count(*), max(id) FROM sync_jobs")) == before


@pytest.mark.parametrize(
    "path", ["/runs/caf\udce9", "/runs/\udcff\udcfe", "/runs/line\nbreak", "/runs/ \\ '\"", "/runs/日本"]
)
def test_a_run_path_comes_back_as_it_went_in(store: Store, launch_id: int, place: StateDir, path: str) -> None:
    job_id = store.jobs.enqueue(NewJob(path, "nas"), given.NOW).job_id
    assert store.jobs.enqueue(NewJob(path, "nas"), given.NOW).job_id == job_id
    assert given.claim(store, launch_id).run_path == path
    job = store.rows.job(job_id)
    assert job is not None
    assert job.run_path == path
    assert path in store.drain.blockers()[0].label
    assert given.shell(place.database, "SELECT run_path FROM pending_work").returncode == 0


def test_the_database_file_needs_no_special_shell(place: StateDir) -> None:
    said = given.shell(place.database, "PRAGMA integrity_check; SELECT * FROM drain_status;")
    assert said.stdout.splitlines() == ["ok", "0|0|1"]
    assert Path(place.database).exists()

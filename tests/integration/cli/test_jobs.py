from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.integration.cli.calls import Cli

from exlab_wizard.cli.terminal.words import moment
from exlab_wizard.domain.job import JobState
from exlab_wizard.store.queue.launches import ThisProcess
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.store import Store
from exlab_wizard.store.tables import sync_jobs

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def move(store: Store, *states: JobState) -> None:
    """Move job 1 along, as an administrator would."""
    store.launches.recover(ThisProcess("host", "boot", 1, "2026-01-01T00:00:00.000Z", "0"), NOW)
    for state in states:
        claim = {"claim_id": "c", "launch_id": 1} if state in (JobState.RUNNING, JobState.VERIFYING) else {}
        statement = sync_jobs.update().where(sync_jobs.c.id == 1).values(state=state.value, **claim)
        store.database.write(Statement(statement), {})


def test_a_failed_job_is_retried(cli: Cli, store: Store) -> None:
    move(store, JobState.RUNNING, JobState.FAILED)
    assert "1 job failed: exlab-wizard jobs --state failed" in cli("status").out
    answer = cli("retry", "1")
    assert (answer.status, answer.out) == (0, "job 1 queued again\n")
    assert store.jobs.state_of(1) is JobState.QUEUED


@pytest.mark.parametrize("states", [(), (JobState.RUNNING,), (JobState.RUNNING, JobState.VERIFYING, JobState.VERIFIED)])
def test_only_a_failed_job_can_be_retried(states: tuple[JobState, ...], cli: Cli, store: Store) -> None:
    move(store, *states)
    before = store.jobs.state_of(1)
    answer = cli("retry", "1")
    assert answer.status == 4
    assert f"job 1 is {before}" in answer.err
    assert len(answer.err.splitlines()) == 1
    assert store.jobs.state_of(1) is before


def test_a_run_that_is_pending_again_cannot_be_retried_as_well(cli: Cli, store: Store, run_folder: Path) -> None:
    move(store, JobState.RUNNING, JobState.FAILED)
    assert "job 2" in cli("sync", str(run_folder)).out
    answer = cli("retry", "1")
    assert answer.status == 4
    assert "pending" in answer.err
    assert store.jobs.state_of(1) is JobState.FAILED


def test_a_finished_job_cannot_be_cancelled(cli: Cli, store: Store) -> None:
    move(store, JobState.RUNNING, JobState.VERIFYING, JobState.VERIFIED)
    answer = cli("cancel", "1")
    assert answer.status == 4
    assert "verified" in answer.err
    assert store.jobs.state_of(1) is JobState.VERIFIED


def test_all_ids_are_cancelled_or_none(cli: Cli, store: Store) -> None:
    answer = cli("cancel", "1", "99")
    assert answer.status == 2
    assert "there is no job 99" in answer.err
    assert store.jobs.state_of(1) is JobState.QUEUED
    assert cli("cancel", "1", "1", "--json").document == [{"id": 1, "state": "cancelled"}]
    assert store.jobs.state_of(1) is JobState.CANCELLED
    again = cli("cancel", "1")
    assert (again.status, again.out, again.err) == (0, "job 1 was already cancelled\n", "")
    assert cli("cancel", "1", "--json").document == [{"id": 1, "state": "cancelled"}]
    assert cli("retry", "1").status == 4


def test_one_job_comes_with_its_timeline(cli: Cli, store: Store) -> None:
    move(store, JobState.RUNNING, JobState.RESUMABLE)
    document = cli("jobs", "1", "--json").document
    assert isinstance(document, dict)
    assert [event["to_state"] for event in document["events"]] == ["queued", "running", "resumable"]
    text = cli("jobs", "1").out
    assert "resumes at the next launch" in text
    assert cli("jobs", "2").status == 2
    assert cli("jobs", "1", "--limit", "3").status == 2


def test_the_list_goes_page_by_page(cli: Cli, store: Store, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"more-{number}").mkdir()
        assert cli("sync", str(tmp_path / f"more-{number}")).status == 0
    first = cli("jobs", "--limit", "2")
    assert "--before 3" in first.err
    older = cli("jobs", "--before", "3", "--json").document
    assert isinstance(older, list)
    assert [job["id"] for job in older] == [2, 1]
    assert cli("jobs", "--state", "failed", "--json").document == []
    assert cli("jobs", "--state", "lost").status == 2
    assert store.status.counts().failed == 0


def test_a_wait_is_shown_in_words(cli: Cli, store: Store) -> None:
    waiting = sync_jobs.update().values(waiting_on="destination_offline", not_before="2026-01-02T03:04:05.000Z")
    store.database.write(Statement(waiting), {})
    for words in (["jobs"], ["jobs", "1"], ["status"]):
        assert "the destination is offline; mount the share" in cli(*words).out


def test_status_sessions_and_history_are_documents(cli: Cli, store: Store) -> None:
    move(store, JobState.RUNNING)
    status = cli("status", "--json").document
    assert isinstance(status, dict)
    assert status["running"] is False
    assert status["pending"] == {"running": {"jobs": 1, "bytes_left": 0}}
    assert [blocker["id"] for blocker in status["in_flight"]] == ["1"]
    assert cli("sessions", "--json").document == []
    history = cli("history", "--json").document
    assert isinstance(history, dict)
    assert len(history["launches"]) == 1
    for words in (["status"], ["sessions"], ["history"], ["jobs"]):
        assert cli(*words).status == 0


def test_status_where_nothing_ever_was(cli: Cli, state_dir: Path) -> None:
    status = cli("status", "--json").document
    assert isinstance(status, dict)
    assert (status["running"], status["pending"]) == (False, {})
    assert cli("status").status == 0
    assert not state_dir.exists()


@pytest.mark.parametrize("words", [("status",), ("jobs",), ("jobs", "1"), ("sessions",), ("history",)])
def test_a_time_written_by_hand_stops_no_command(words: tuple[str, ...], cli: Cli, store: Store) -> None:
    move(store)
    move(store)
    connection = store.database.connection()
    connection.execute("UPDATE sync_jobs SET enqueued_at = 'soon', not_before = 'soon'")
    connection.execute("UPDATE launches SET started_at = 'soon', ended_at = 'soon', end_reason = 'crashed'")
    for more in ((), ("--json",)):
        answer = cli(*words, *more)
        assert (answer.status, answer.err) == (0, "")


def test_a_time_that_cannot_be_read_is_shown_as_it_is() -> None:
    assert moment("soon") == "soon"
    assert moment("9999-12-31T23:59:59-05:00") == "9999-12-31T23:59:59-05:00"
    assert moment(None) == ""

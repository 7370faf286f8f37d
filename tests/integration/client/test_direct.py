"""The last way into the queue, on a database beside which nothing runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exlab_wizard.client.direct import complete
from exlab_wizard.client.errors import RunsNotQueuedError, RunToSync
from exlab_wizard.client.http import Transport
from exlab_wizard.client.queue_runs import Handover
from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.outcome import Decision
from exlab_wizard.domain.views import SessionKind
from exlab_wizard.paths import StateDir
from exlab_wizard.process.open_store import opened
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.store.queue.launches import ThisProcess
from exlab_wizard.store.queue.sessions import NewSession
from exlab_wizard.store.store import Store

NOW = datetime.now(UTC)
RUN = RunToSync("/runs/1", "nas")


@pytest.fixture
def store(state_dir: Path) -> Iterator[Store]:
    with opened(StateDir(state_dir), create=True) as store:
        yield store


@pytest.fixture
def session_id(store: Store) -> str:
    """An open session of a launch."""
    launch = store.launches.recover(ThisProcess("host", "boot", 1, "2026-01-01T00:00:00.000Z", "0"), NOW).launch_id
    return store.sessions.open(NewSession(SessionKind.RUN, "scan", 60.0), launch, NOW).id


def verify(store: Store) -> int:
    """Queue the run, and let a worker verify it."""
    store.jobs.enqueue(NewJob(RUN.path, RUN.destination), NOW)
    job = store.jobs.claim(1, NOW)
    assert job is not None
    assert store.jobs.all_sent(job.job_id, job.claim_id)
    assert store.jobs.finish(job, Decision(JobState.VERIFIED, "published"), NOW)
    return job.job_id


def test_an_open_session_is_closed_with_its_runs(store: Store, session_id: str, state_dir: Path) -> None:
    assert complete(StateDir(state_dir), session_id, "sem", [RUN]) == [1]
    job = store.rows.job(1)
    assert job is not None
    assert (job.session_id, job.equipment_id, job.state) == (session_id, "sem", "queued")
    assert store.drain.count(NOW).active_sessions == 0


def test_a_completion_whose_answer_was_lost_is_not_repeated(store: Store, session_id: str, state_dir: Path) -> None:
    new = [NewJob(RUN.path, RUN.destination, None, session_id)]
    assert store.sessions.complete(session_id, new, NOW) is not None
    assert verify(store) == 1
    assert complete(StateDir(state_dir), session_id, None, [RUN]) == [1]
    assert store.status.pending() == {}


def test_an_expired_session_queues_a_run_anew_that_was_synced_before(
    store: Store, session_id: str, state_dir: Path
) -> None:
    assert verify(store) == 1
    assert store.sessions.expire(NOW + timedelta(hours=1)) == 1
    assert complete(StateDir(state_dir), session_id, None, [RUN]) == [2]
    assert store.jobs.state_of(2) is JobState.QUEUED


def test_without_a_database_one_is_made(state_dir: Path) -> None:
    assert complete(StateDir(state_dir), None, None, [RUN, RunToSync("/runs/2", "nas")]) == [1, 2]


def test_where_no_way_is_open_each_run_is_named_with_the_command_that_queues_it(store: Store, state_dir: Path) -> None:
    store.database.connection().execute("UPDATE alembic_version SET version_num = '9999'")
    place = StateDir(state_dir)
    spaced = RunToSync("/runs/with space", "nas")
    with pytest.raises(RunsNotQueuedError, match="exlab-wizard sync --to nas '/runs/with space'") as lost:
        Handover(Transport(place), place, None, None, [RUN, spaced]).finish(timeout_s=0)
    assert lost.value.runs == (RUN, spaced)
    assert "server.json" in str(lost.value)
    assert "9999" in str(lost.value)

from __future__ import annotations

import os
import signal
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from tests.integration.client.calls import SHORT_TTL_SECONDS, jobs_of, session_state

from exlab_wizard.client import AnswerError, Client, RunsNotQueuedError
from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.quit import Phase
from exlab_wizard.domain.views import LeaseState
from exlab_wizard.testing import Lab, until

LIFE = timedelta(seconds=1.5)

pytestmark = pytest.mark.slow


def test_a_session_that_ends_well_queues_its_runs(client: Client, application: Lab) -> None:
    run = application.make_run()
    with client.session(kind="run", label="SEM, sample 7", operator="Ada", equipment_id="sem", run_path=run) as session:
        assert session_state(application, session.id) == "active"
        assert [blocker.label for blocker in client.drain().blockers] == ["SEM, sample 7 (Ada)"]
        session.add_run(run, "nas")
        session.add_run(run, "nas")
        assert jobs_of(application, session) == []
    assert session_state(application, session.id) == "completed"
    assert (session.jobs, jobs_of(application, session)) == ([1], [str(run)])
    application.until_idle()
    assert application.checksums_pass("sem/run-1")


def test_work_that_raises_queues_nothing_and_its_exception_comes_through(client: Client, application: Lab) -> None:
    with pytest.raises(ZeroDivisionError), client.session(kind="run", label="breaks") as session:  # noqa: PT012 - the block is the subject
        session.add_run(application.make_run(), "nas")
        raise ZeroDivisionError
    assert session_state(application, session.id) == "aborted"
    assert (session.jobs, jobs_of(application, session)) == ([], [])


def test_heartbeats_keep_it_alive_beyond_its_time_to_live(client: Client, application: Lab) -> None:
    with client.session(kind="run", label="long", ttl_s=1.5) as session:
        opened = session.lease
        assert opened is not None
        until(lambda: session.lease is not None and session.lease.expires_at - opened.expires_at > 2 * LIFE)
        assert session.trouble is None
        first = session.id
    assert session_state(application, first) == "completed"


def test_an_application_that_hangs_at_the_end_is_passed_by(client: Client, application: Lab) -> None:
    run = application.make_run("patient")
    with client.session(kind="run", label="patient") as session:
        session.add_run(run, "nas")
        application.process.send_signal(signal.SIGSTOP)
    assert len(session.jobs) == 1
    assert session_state(application, session.id) == "completed"
    application.process.send_signal(signal.SIGCONT)
    application.until_idle()


def test_a_session_that_expired_unnoticed_queues_its_runs_all_the_same(client: Client, application: Lab) -> None:
    run = application.make_run("unnoticed")
    with client.session(kind="run", label="unnoticed", ttl_s=600, equipment_id="sem") as session:
        session.add_run(run, "nas")
        application.query(
            "UPDATE session_leases SET state = 'expired', closed_at = strftime('%Y-%m-%dT%H:%M:%fZ') WHERE id = ?",
            session.id,
        )
        assert session_state(application, session.id) == "expired"
    queued = application.query("SELECT run_path, session_id, equipment_id FROM sync_jobs WHERE id = ?", *session.jobs)
    assert queued == [(str(run), None, "sem")]


def test_a_run_that_is_refused_keeps_none_of_the_others_back(client: Client, application: Lab, tmp_path: Path) -> None:
    run = application.make_run("half good")
    session = client.session(kind="run", label="half good")
    session.renew()
    session.add_run(run, "nas")
    session.add_run(run, "moon")
    session.add_run(tmp_path / "not there", "nas")
    with pytest.raises(RunsNotQueuedError, match="exlab-wizard sync --to moon") as missing:
        session.complete()
    assert [(Path(one.path).name, one.destination) for one in missing.value.runs] == [
        ("half good", "moon"),
        ("not there", "nas"),
    ]
    assert session_state(application, session.id) == "aborted"
    assert application.query("SELECT session_id FROM sync_jobs WHERE run_path = ?", str(run)) == [(None,)]


def test_a_name_that_is_no_text_goes_to_the_database(client: Client, application: Lab) -> None:
    run = application.make_run(os.fsdecode(b"caf\xe9"))
    with client.session(kind="run", label="umlauts", run_path=run) as session:
        session.add_run(run, "nas")
    assert application.query("SELECT CAST(run_path AS BLOB) FROM sync_jobs WHERE id = ?", *session.jobs) == [
        (os.fsencode(run),)
    ]
    assert session_state(application, session.id) == "completed"


def test_two_threads_share_a_client_and_a_session(client: Client, application: Lab) -> None:
    runs = [application.make_run(f"shared-{number}", seed=number) for number in range(4)]
    with client.session(kind="run", label="shared", ttl_s=SHORT_TTL_SECONDS) as session:

        def work(part: list[Path]) -> None:
            for run in part:
                session.add_run(run, "nas")
                session.renew()
                assert client.drain().active_sessions == 1
            client.close()

        threads = [threading.Thread(target=work, args=(part,)) for part in (runs[:2], runs[2:])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(set(session.jobs)) == 4
    application.until_idle()


# Newer Pythons warn of any fork beside threads; that a program does it all the same is the accident.
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_leaves_the_session_of_its_parent_alone(client: Client, application: Lab) -> None:
    with client.session(kind="run", label="parent") as session:
        child = os.fork()
        if child == 0:
            session.__exit__(None, None, None)
            same = client.drain().active_sessions
            os._exit(40 + (same or 0))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 41
        assert session_state(application, session.id) == "active"
        # The parent's connection was not disturbed.
        assert client.drain().active_sessions == 1


def test_what_the_application_knows_is_read_with_its_types(client: Client, application: Lab) -> None:
    run = application.make_run("read", seed=9)
    queued = client.enqueue(run, "nas", priority=5)
    assert queued.created
    application.until_idle()
    job = client.job(queued.job_id)
    assert (job.run_path, job.state, job.priority) == (str(run), JobState.VERIFIED, 5)
    assert job.bytes_done == job.bytes_verified == job.bytes_total > 0
    assert client.jobs(state=JobState.VERIFIED, limit=1) == [job]
    assert {event.to_state for event in client.job_events(job.id)} == {"queued", "running", "verifying", "verified"}
    with client.session(kind="project", label="wizard", operator="Ada") as session:
        row = client.sessions(limit=1)[0]
        assert (row.id, row.kind, row.operator, row.state) == (session.id, "project", "Ada", LeaseState.ACTIVE)
        assert [lease.id for lease in client.standing().sessions] == [session.id]
    health = client.health()
    assert (health.components["server"].status, health.phase) == ("ok", Phase.RUNNING)
    with pytest.raises(AnswerError) as refused:
        client.retry(job.id)
    assert (refused.value.code, refused.value.exit_status) == ("illegal_move", 4)


def test_all_moves_of_a_job_are_returned_the_oldest_first(client: Client, application: Lab) -> None:
    job = client.enqueue(application.make_run("moves", seed=10), "nas").job_id
    application.until_idle()
    # More than one answer of the API holds.
    application.query(
        "WITH RECURSIVE more(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < 1100)"
        " INSERT INTO job_events (job_id, at, from_state, to_state, reason)"
        " SELECT ?, '2099-01-01T00:00:00.000Z', 'verified', 'cleaned', n FROM more",
        job,
    )
    events = client.job_events(job)
    assert [event.to_state for event in events[:4]] == ["queued", "running", "verifying", "verified"]
    assert [event.reason for event in events[4:]] == [str(n) for n in range(1, 1101)]

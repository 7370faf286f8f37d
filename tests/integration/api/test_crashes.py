"""Killed, locked out or robbed of its database in the middle of a request: who asks again has what he wanted, once."""

from __future__ import annotations

import threading

import httpx
import pytest
from tests.integration.api.api import Api, code_of, run_of
from tests.support.program import PATIENCE_SECONDS, until

from exlab_wizard.crash_points import Point
from exlab_wizard.testing import Lab

pytestmark = pytest.mark.slow


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("point", "state", "jobs"),
    [
        (Point.LEASE_BEFORE_COMPLETE, "active", 0),
        (Point.LEASE_CLOSED, "active", 0),
        (Point.LEASE_COMPLETED, "completed", 2),
    ],
)
def test_killed_while_completing_there_is_a_session_or_all_its_jobs(
    exlab: Lab, point: Point, state: str, jobs: int
) -> None:
    runs = [exlab.make_run(f"run-{number}") for number in range(2)]
    body = {"runs": [{"path": str(run), "destination": "nas"} for run in runs]}
    sessions: list[str] = []

    def complete() -> None:
        with Api.of(exlab) as api:
            sessions.append(api.open())
            with pytest.raises(httpx.TransportError):
                api.post(f"/sessions/{sessions[0]}/complete", body)

    exlab.kill_at(point, meanwhile=complete)
    assert exlab.query("SELECT state FROM session_leases") == [(state,)]
    assert exlab.number("SELECT count(*) FROM sync_jobs") == jobs
    exlab.relaunch()
    with Api.of(exlab) as api:
        assert api.get(f"/sessions/{sessions[0]}").json()["state"] == state
        again = api.post(f"/sessions/{sessions[0]}/complete", body)
        assert (again.status_code, again.json()["state"]) == (200, "completed")
        assert api.post(f"/sessions/{sessions[0]}/complete", body).json() == again.json()
    exlab.until_idle()
    assert exlab.query("SELECT id, state FROM sync_jobs ORDER BY id") == [
        (job, "verified") for job in again.json()["jobs"]
    ]


@pytest.mark.sampled
@pytest.mark.parametrize(("point", "jobs"), [(Point.ENQUEUE_BEFORE_COMMIT, 0), (Point.ENQUEUE_AFTER_COMMIT, 1)])
def test_killed_while_enqueueing_the_repeated_request_makes_one_job(exlab: Lab, point: Point, jobs: int) -> None:
    run = exlab.make_run()

    def enqueue() -> None:
        with Api.of(exlab) as api, pytest.raises(httpx.TransportError):
            api.enqueue(run)

    exlab.kill_at(point, meanwhile=enqueue)
    assert exlab.number("SELECT count(*) FROM sync_jobs") == jobs
    exlab.relaunch()
    with Api.of(exlab) as api:
        assert api.enqueue(run).status_code == (200 if jobs and exlab.job_state() != "verified" else 201)
    exlab.until_idle()
    assert exlab.number("SELECT count(*) FROM sync_jobs WHERE state = 'verified'") >= 1


def test_a_session_outlives_a_crash_and_its_next_heartbeat_keeps_it(exlab: Lab) -> None:
    exlab.start()
    with Api.of(exlab) as api:
        session = api.open(ttl_s=360)
        before = api.get(f"/sessions/{session}").json()
    exlab.kill()
    exlab.relaunch()
    with Api.of(exlab) as api:
        assert api.get(f"/sessions/{session}").json()["expires_at"] > before["expires_at"]
        lease = api.post(f"/sessions/{session}/heartbeat").json()
        assert (lease["state"], lease["heartbeat_s"]) == ("active", 120.0)
        assert api.get("/drain").json()["active_sessions"] == 1
        assert api.post(f"/sessions/{session}/complete", {"runs": []}).status_code == 200


def test_while_another_program_holds_the_write_lock_reads_go_on_and_writes_wait(exlab: Lab) -> None:
    exlab.start()
    runs = [run_of(exlab, f"run-{number}") for number in range(6)]
    with Api.of(exlab) as api, exlab.store() as other:
        session = api.open()
        answers: list[httpx.Response] = []

        def write(number: int) -> None:
            with Api(api.address) as mine:
                answers.append(mine.enqueue(runs[number]))
                answers.append(mine.post(f"/sessions/{session}/heartbeat"))

        threads = [threading.Thread(target=write, args=(number,)) for number in range(len(runs))]
        with other.database.transaction():
            for thread in threads:
                thread.start()
            reads = 0
            waited = threading.Event()
            threading.Timer(3.0, waited.set).start()
            while not waited.is_set():
                assert api.get("/drain").status_code == 200
                assert api.get("/jobs").status_code == 200
                reads += 1
            assert answers == []
            assert reads >= 3
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
    assert sorted(answer.status_code for answer in answers) == [200] * 6 + [201] * 6
    until(lambda: exlab.number("SELECT count(*) FROM sync_jobs WHERE state = 'verified'") == 6, what="all runs")


def test_a_question_that_nobody_can_read_is_unknown_and_never_idle(exlab: Lab) -> None:
    exlab.start()
    hidden = exlab.database.with_suffix(".hidden")
    with Api.of(exlab) as api:
        exlab.database.rename(hidden)
        told = api.get("/drain").json()
        health = api.get("/health")
        hidden.rename(exlab.database)
        assert told["idle"] is told["active_sessions"] is told["in_flight_jobs"] is None
        assert "deleted, moved or replaced" in told["reason"]
        assert (health.status_code, health.json()["status"]) == (200, "error")
        assert health.json()["components"]["database"]["status"] == "error"
        assert api.get("/drain").json()["idle"] is True
        assert code_of(api.get("/nothing")) == (404, "not_found")

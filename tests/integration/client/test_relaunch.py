from __future__ import annotations

import logging
import threading

import pytest
from tests.integration.client.calls import SHORT_TTL_SECONDS, connected, jobs, session_state

from exlab_wizard.client import AnswerError, Client, NotRunningError, Session
from exlab_wizard.client.errors import UnreachableError
from exlab_wizard.client.http import Answer, Document, Transport
from exlab_wizard.crash_points import Point
from exlab_wizard.testing import PATIENCE_SECONDS, Lab, until

pytestmark = pytest.mark.slow


def test_killed_and_relaunched_in_the_middle_the_session_goes_on(client: Client, running: Lab) -> None:
    run = running.make_run()
    with client.session(kind="run", label="survivor", ttl_s=PATIENCE_SECONDS / 2) as session:
        began = session.id
        running.kill()
        until(lambda: session.trouble is not None, what="a heartbeat to find nobody")
        running.relaunch()
        until(lambda: session.trouble is None, what="a heartbeat to arrive at the new launch")
        assert session_state(running, began) == "active"
        session.add_run(run, "nas")
    assert (session.id, session_state(running, began)) == (began, "completed")
    assert jobs(running) == [(str(run), began)]
    running.until_idle()


def test_a_quit_waits_for_the_session_and_tells_it(client: Client, running: Lab) -> None:
    told = threading.Event()
    run = running.make_run()
    with client.session(kind="run", label="last one", ttl_s=SHORT_TTL_SECONDS, on_quit=lambda _: told.set()) as session:
        assert not session.quit_waiting
        client.quit()
        assert told.wait(PATIENCE_SECONDS)
        assert (session.quit_waiting, session.deadline is not None) == (True, True)
        with pytest.raises(AnswerError) as refused, client.session(kind="run", label="too late"):
            pass
        assert refused.value.code == "shutting_down"
        assert running.process.poll() is None
        session.add_run(run, "nas")
    assert running.wait() == 0
    assert running.value("SELECT end_reason FROM launches") == "drained"
    assert (running.job_state(), jobs(running)) == ("queued", [(str(run), session.id)])
    running.relaunch()
    running.until_idle()
    assert running.job_state() == "verified"


def test_the_application_is_away_at_the_end_and_the_runs_are_queued_all_the_same(client: Client, running: Lab) -> None:
    run = running.make_run()
    with client.session(kind="run", label="outlives it", equipment_id="sem") as session:
        session.add_run(run, "nas")
        running.kill()
    assert (session.jobs, session_state(running, session.id)) == ([1], "completed")
    assert jobs(running) == [(str(run), session.id)]
    running.relaunch()
    running.until_idle()
    assert running.checksums_pass("sem/run-1")


def test_a_session_that_was_opened_by_a_request_without_answer_is_closed_with_its_runs(
    running: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left open, it would keep a quit waiting until it ends by itself."""
    run, call = running.make_run(), Transport.call

    def cut_off(
        transport: Transport, method: str, path: str, body: Document | None = None, *, answer_s: float | None = None
    ) -> Answer:
        answer = call(transport, method, path, body, answer_s=answer_s)
        if path == "/sessions":
            running.kill()
            raise UnreachableError("the connection was lost")
        return answer

    monkeypatch.setattr(Transport, "call", cut_off)
    with connected(running) as client, client.session(kind="run", label="unheard", must_open=False) as session:
        assert (session.lease, session_state(running, session.id)) == (None, "active")
        session.add_run(run, "nas")
    assert (session.jobs, session_state(running, session.id)) == ([1], "completed")
    assert jobs(running) == [(str(run), session.id)]


@pytest.mark.sampled
@pytest.mark.parametrize("point", [Point.LEASE_BEFORE_COMPLETE, Point.LEASE_CLOSED, Point.LEASE_COMPLETED])
def test_killed_while_it_completes_each_run_is_queued_once(exlab: Lab, point: Point) -> None:
    runs = [exlab.make_run(f"run-{number}", seed=number) for number in (1, 2)]
    queued: list[int] = []

    def acquire() -> None:
        with connected(exlab) as client, client.session(kind="run", label="unlucky") as session:
            for run in runs:
                session.add_run(run, "nas")
        queued.extend(session.jobs)

    exlab.kill_at(point, meanwhile=acquire)
    assert queued == [1, 2]
    assert [path for path, _ in jobs(exlab)] == [str(run) for run in runs]
    assert exlab.query("SELECT state FROM session_leases") == [("completed",)]
    exlab.relaunch()
    exlab.until_idle()


def test_a_session_may_begin_before_the_application_does(exlab: Lab) -> None:
    client = Client.at(exlab.state)
    with pytest.raises(NotRunningError), client.session(kind="run", label="too early"):
        pass
    with client, client.session(kind="run", label="early", must_open=False) as session:
        assert (session.lease, session.trouble is None) == (None, False)
        exlab.start()
        until(lambda: session.lease is not None, what="the session to open")
        assert (session.trouble, session_state(exlab, session.id)) == (None, "active")
    assert session_state(exlab, session.id) == "completed"


def test_without_any_application_the_runs_wait_for_the_first(exlab: Lab) -> None:
    run = exlab.make_run()
    with Client.at(exlab.state) as client, client.session(kind="run", label="alone", must_open=False) as session:
        session.add_run(run, "nas")
    assert (session.jobs, jobs(exlab)) == ([1], [(str(run), None)])
    exlab.start()
    exlab.until_idle()


def test_what_a_callback_raises_is_logged_once_and_ends_nothing(
    client: Client, running: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    raised = threading.Event()

    def breaks(_: Session) -> None:
        raised.set()
        raise ZeroDivisionError

    with (
        caplog.at_level(logging.WARNING),
        client.session(kind="run", label="odd", ttl_s=SHORT_TTL_SECONDS, on_quit=breaks) as session,
    ):
        client.quit()
        assert raised.wait(PATIENCE_SECONDS)
        until(lambda: session.trouble is None, what="the next heartbeat")
        assert session.quit_waiting
    assert running.wait() == 0
    assert [record.exc_info is not None for record in caplog.records if "odd" in record.getMessage()] == [True]

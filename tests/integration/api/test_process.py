"""The server in the real process: how soon it answers, how it ends, and what the drain and the quit say over it."""

from __future__ import annotations

import json
import os
import signal
import stat

import pytest
from tests.integration.api.api import Api, address_of, code_of, run_of
from tests.support.program import MIB, Program, until, write_run
from tests.support.slow_copy import copying_slowly, in_flight, last_end, quits

pytestmark = pytest.mark.slow


def test_the_ready_line_names_the_address_before_anything_answers_there(program: Program) -> None:
    program.start()
    url = json.loads(program.said())["url"]
    with Api.of(program) as api:
        assert url == f"http://127.0.0.1:{api.address.port}/"
        assert api.get("/drain").json()["idle"] is True


def test_server_json_is_for_its_owner_only_and_gone_after_the_quit(program: Program) -> None:
    file = program.state / "server.json"
    file.write_text('{"port": 1, "pid": 1, "started_at": "then", "token": "stale"}', encoding="utf-8")
    program.start()
    address = address_of(program)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(address.token) >= 43
    assert address.token not in program.log() + program.said()
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0
    assert not file.exists()


def test_each_launch_has_a_token_of_its_own(program: Program) -> None:
    program.start()
    with Api.of(program) as before:
        program.kill()
        program.start()
        with Api.of(program) as after:
            assert before.address.token != after.address.token
            before.http.base_url = after.http.base_url
            assert code_of(before.get("/jobs")) == (401, "unauthorized")


def test_a_drain_lets_open_sessions_end_and_starts_none(program: Program) -> None:
    program.start()
    run = run_of(program)
    with Api.of(program) as api:
        session = api.open()
        assert api.post("/quit").status_code == 202
        until(lambda: api.get("/drain").json()["phase"] == "draining", what="the drain")
        refused = api.post("/sessions", {"kind": "run", "label": "too late"})
        assert code_of(refused) == (503, "shutting_down")
        assert int(refused.headers["Retry-After"]) > 0
        beat = api.post(f"/sessions/{session}/heartbeat").json()
        assert beat["shutting_down"] is True
        assert beat["deadline"] > beat["expires_at"][:10]
        queued = api.enqueue(run)
        assert queued.status_code == 201
        closed = api.post(
            f"/sessions/{session}/complete", {"runs": [{"path": str(run_of(program, "run-2")), "destination": "nas"}]}
        )
        assert closed.status_code == 200, closed.text
    assert program.wait() == 0
    assert last_end(program) == "drained"
    jobs = [queued.json()["id"], *closed.json()["jobs"]]
    assert [program.job_state(job) for job in jobs] == ["queued", "queued"]
    program.start()
    until(lambda: [program.job_state(job) for job in jobs] == ["verified", "verified"], what="both runs")


@pytest.mark.parametrize(("answer", "end"), [("force", "forced"), ("keep_running", None)])
def test_the_question_of_a_quit_is_answered_over_http(program: Program, answer: str, end: str | None) -> None:
    copying_slowly(program, window_s=0.3)
    with Api.of(program) as api:
        assert code_of(api.post("/quit/answer", {"answer": answer})) == (409, "no_question")
        api.post("/quit")
        question = until(lambda: api.get("/drain").json()["question"], what="the question")
        assert question == "1 operation still running. Force quit anyway?"
        assert api.post("/quit/answer", {"answer": "wait"}).status_code == 202
        until(lambda: api.get("/drain").json()["phase"] == "draining", what="the fresh window")
        until(lambda: api.get("/drain").json()["phase"] == "asking", what="the question to come back")
        assert api.post("/quit/answer", {"answer": answer}).status_code == 202
        if end is None:
            until(lambda: api.get("/drain").json()["phase"] == "running", what="the quit to be taken back")
            assert api.open()
            assert in_flight(program)
        else:
            assert program.wait() == 0
            assert last_end(program) == end
    row = quits(program)[0]
    assert (row.trigger, row.prompts, row.waits) == ("api", 2, 1)


def test_a_quit_that_nobody_looks_at_any_more_forces(program: Program) -> None:
    copying_slowly(program, window_s=0.3)
    with Api.of(program) as api:
        api.post("/quit")
    assert program.wait() == 0
    assert last_end(program) == "forced"
    assert program.job_state() == "resumable"


def test_an_idle_connection_a_half_sent_request_and_sigterm_are_over_at_once(program: Program) -> None:
    program.start()
    run = write_run(program.home / "run", {"a": MIB})
    with Api.of(program) as api:
        assert api.enqueue(run).status_code == 201
        until(lambda: program.job_state() == "verified")
        program.process.send_signal(signal.SIGTERM)
        assert program.wait() == 0


@pytest.mark.anew
def test_a_server_that_cannot_start_is_said_and_the_runs_arrive_all_the_same(program: Program) -> None:
    broken = program.home / "broken" / "fastapi"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('this installation is broken')\n", encoding="utf-8")
    program.environment["PYTHONPATH"] = f"{broken.parent}{os.pathsep}{program.environment['PYTHONPATH']}"
    program.start()
    job = program.enqueue(run_of(program))
    until(lambda: program.job_state(job) == "verified", what="the run to arrive")
    said = "this installation is broken; syncing continues without it"
    until(lambda: said in program.log(), what="the server's failure to be said")
    assert not (program.state / "server.json").exists()
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0
    assert last_end(program) == "drained"

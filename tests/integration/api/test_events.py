"""Event streams of the real program: what they tell, what they tell again, and that they hold up nothing."""

from __future__ import annotations

import signal
import socket
import time
from collections import Counter

import pytest
from tests.integration.api.api import PREFIX, SMALL, Api, code_of, run_of
from tests.integration.api.stream import Stream
from tests.support.program import MIB, PATIENCE_SECONDS, Program, until, write_run
from tests.support.slow_copy import copying_slowly, in_flight

from exlab_wizard.server.events.routes import MOST_STREAMS

pytestmark = pytest.mark.slow


def test_a_run_is_followed_from_its_queueing_to_its_end(api: Api, program: Program) -> None:
    with Stream(api) as stream:
        job = api.enqueue(run_of(program)).json()["id"]
        stream.wait_for(lambda event: event.data.get("to_state") == "verified", "the run to arrive")
        moves = [event.data for event in stream.named("job") if event.data["job_id"] == job]
        assert [move["to_state"] for move in moves] == ["queued", "running", "verifying", "verified"]
        assert moves[0]["run_path"] == str(program.home / "runs" / "run-1")
        assert stream.got[0].name == "hello"
        assert stream.response.headers["content-type"].startswith("text/event-stream")


def test_sessions_are_told_when_they_open_and_when_they_end(shared: Api) -> None:
    with Stream(shared) as stream:
        first, second, third = shared.open("first"), shared.open("second"), shared.open("third")
        told = {first: "completed", second: "aborted"}
        stream.wait_for(lambda event: event.data.get("id") == third, "the last to be opened")
        shared.post(f"/sessions/{first}/complete", {"runs": []})
        shared.post(f"/sessions/{second}/abort")
        until(lambda: len(stream.named("session")) >= 5, what="both ends")
        ends = [(event.data["id"], event.data["state"]) for event in stream.named("session")]
        assert sorted(ends) == sorted([(first, "active"), (second, "active"), (third, "active"), *told.items()])


def test_a_session_that_was_over_before_anybody_looked_is_told_all_the_same(shared: Api) -> None:
    with Stream(shared) as stream:
        quick = shared.open("quick")
        shared.post(f"/sessions/{quick}/abort")
        stream.wait_for(lambda event: event.data.get("id") == quick and event.data["state"] == "aborted", "its end")


def test_progress_comes_at_most_four_times_a_second_for_a_job(program: Program) -> None:
    copying_slowly(program, 30)
    began = time.monotonic()
    with Api.of(program) as api, Stream(api) as stream:
        until(lambda: len(stream.named("progress")) >= 3, what="progress")
        took = time.monotonic() - began
        seen = stream.named("progress")
        done = [int(str(event.data["bytes_done"])) for event in seen]
        assert done == sorted(done)
        assert len(seen) <= 4 * took + 2


def test_a_reader_that_comes_back_gets_what_it_missed_and_nothing_twice(api: Api, program: Program) -> None:
    with Stream(api) as stream:
        first = api.enqueue(run_of(program)).json()["id"]
        stream.wait_for(lambda event: event.data.get("to_state") == "verified", "the first run")
    last = stream.got[-1].id
    second = api.enqueue(run_of(program, "run-2")).json()["id"]
    until(lambda: program.job_state(second) == "verified", what="the second run, with nobody listening")
    with Stream(api, after=last) as again:
        again.wait_for(lambda event: event.data.get("to_state") == "verified", "what was missed")
        told = Counter((event.data["job_id"], event.data["to_state"]) for event in again.named("job"))
    assert told == Counter({(second, state): 1 for state in ("queued", "running", "verifying", "verified")})
    assert first not in {job for job, _ in told}
    assert not again.named("resync")


@pytest.mark.parametrize("after", ["999-1", "1-999999999999", "nonsense", "1-", "-1"])
def test_a_reader_whose_place_is_unknown_is_told_so(shared: Api, after: str) -> None:
    with Stream(shared, after=after) as stream:
        until(lambda: stream.got, what="the first event")
        assert stream.got[0].name == "resync"


def test_a_reader_of_an_earlier_launch_is_told_so(program: Program) -> None:
    program.start()
    with Api.of(program) as api, Stream(api) as stream:
        until(lambda: stream.got, what="hello")
        program.kill()
        assert stream.ended.wait(PATIENCE_SECONDS)
    program.start()
    with Api.of(program) as api, Stream(api, after=stream.got[-1].id) as again:
        until(lambda: again.got, what="the first event")
        assert (again.got[0].name, again.got[0].data) == ("resync", {"reason": "other_launch"})


def test_a_reader_that_stopped_reading_holds_up_neither_work_nor_the_exit(api: Api, program: Program) -> None:
    request = f"GET {PREFIX}/events HTTP/1.1\r\nHost: 127.0.0.1:{api.address.port}\r\n"
    with socket.socket() as dead:
        # As small as the system lets it be, so that it is full soon.
        dead.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        dead.connect(("127.0.0.1", api.address.port))
        dead.sendall(f"{request}Authorization: Bearer {api.address.token}\r\n\r\n".encode())
        assert dead.recv(12) == b"HTTP/1.1 200"
        with Stream(api) as living:
            for number in range(60):
                api.post(f"/sessions/{api.open(f'session {number}'.ljust(180, 'x'))}/abort")
            job = api.enqueue(write_run(program.home / "runs" / "r", SMALL)).json()["id"]
            until(lambda: program.job_state(job) == "verified", what="the run to arrive all the same")
            living.wait_for(lambda event: event.data.get("to_state") == "verified", "the living reader to hear of it")
        program.process.send_signal(signal.SIGTERM)
        assert program.wait() == 0


def test_more_streams_than_are_kept_are_refused_and_nothing_else(shared: Api) -> None:
    streams = [Stream(shared) for _ in range(MOST_STREAMS)]
    try:
        until(lambda: all(stream.got for stream in streams), what="all streams to begin")
        assert code_of(shared.get("/events")) == (429, "too_many_streams")
        assert shared.get("/drain").status_code == 200
    finally:
        for stream in streams:
            stream.close()

    def open_streams() -> str:
        return str(shared.get("/health").json()["components"]["server"]["reason"])

    until(lambda: open_streams().endswith(" 0 event streams open"), what="the places to be free")
    with Stream(shared) as stream:
        until(lambda: stream.got, what="a free place")


def test_the_quit_question_is_told_to_those_who_listen_and_they_can_answer(program: Program) -> None:
    copying_slowly(program, 30, window_s=0.3)
    with Api.of(program) as api, Stream(api) as stream:
        api.post("/quit")
        asked = stream.wait_for(lambda event: bool(event.data.get("question")), "the question")
        assert asked.data["question"] == "1 operation still running. Force quit anyway?"
        assert asked.data["blockers"]
        assert api.post("/quit/answer", {"answer": "keep_running"}).status_code == 202
        stream.wait_for(
            lambda event: event.name == "question" and event.data["question"] is None, "the question to be withdrawn"
        )
        until(lambda: stream.named("drain") and stream.named("drain")[-1].data["phase"] == "running", what="running")
        assert in_flight(program)


def test_sigterm_with_an_open_stream_a_silent_client_and_a_half_sent_body_is_over_at_once(program: Program) -> None:
    program.start()
    with Api.of(program) as api, Stream(api) as stream, socket.socket() as silent, socket.socket() as half:
        until(lambda: stream.got, what="hello")
        for client in (silent, half):
            client.connect(("127.0.0.1", api.address.port))
        head = f"POST {PREFIX}/jobs HTTP/1.1\r\nHost: 127.0.0.1:{api.address.port}\r\nContent-Length: {MIB}\r\n"
        half.sendall(f"{head}Authorization: Bearer {api.address.token}\r\n\r\n{{".encode())
        until(lambda: api.get("/health").status_code == 200, what="the server to have seen them")
        program.process.send_signal(signal.SIGTERM)
        assert program.wait() == 0
        assert stream.ended.wait(PATIENCE_SECONDS)
    assert "Traceback" not in program.log()

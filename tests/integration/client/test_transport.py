from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.client.stranger import Stranger

from exlab_wizard.client import Client
from exlab_wizard.client.errors import AnswerError, UnreachableError
from exlab_wizard.client.http import Transport
from exlab_wizard.paths import StateDir
from exlab_wizard.process.server_json import CHALLENGE_HEADER, proof_of

TOKEN = "t" * 43
NEW_TOKEN = "n" * 43


def point_at(state_dir: Path, port: int, token: str = TOKEN) -> StateDir:
    """Write a `server.json` that names this port."""
    place = StateDir(state_dir)
    place.root.mkdir(exist_ok=True)
    place.server.touch(mode=0o600)
    place.server.write_text(json.dumps({"port": port, "pid": 1, "started_at": "x", "token": token}), "utf-8")
    return place


def ours(reply: Callable[[str], tuple[int, object] | None], token: str = TOKEN) -> Stranger:
    """Return a server that knows the token, and answers what is asked with it as told."""

    def proving(path: str, headers: dict[str, str]) -> tuple[int, object] | None:
        if "authorization" in headers:
            return reply(path)
        return 200, {"status": "ok", "proof": proof_of(token, headers[CHALLENGE_HEADER.lower()])}

    return Stranger(proving)


@pytest.mark.parametrize(
    "health",
    [
        (200, {"status": "ok"}),
        (200, {"status": "ok", "pid": 1, "started_at": "x"}),
        (200, {"proof": proof_of("another token", "00")}),
        (200, {"proof": ["x"]}),
        (200, b"<html>"),
        (404, {}),
        (500, b""),
    ],
)
def test_a_stranger_at_a_stale_port_never_gets_the_token(state_dir: Path, health: tuple[int, object]) -> None:
    with Stranger(lambda _path, _headers: health) as stranger:
        with pytest.raises(UnreachableError, match="no token was sent"):
            Transport(point_at(state_dir, stranger.port)).call("GET", "/drain")
        assert len(stranger.heard) == 1
        assert stranger.tokens == []


def test_a_proof_that_was_overheard_is_worth_nothing(state_dir: Path) -> None:
    heard: list[str] = []

    def replay(_path: str, headers: dict[str, str]) -> tuple[int, object]:
        heard.append(headers[CHALLENGE_HEADER.lower()])
        return 200, {"proof": proof_of(TOKEN, heard[0])}

    with Stranger(replay) as stranger:
        place = point_at(state_dir, stranger.port)
        first = Transport(place)
        first.address()
        with pytest.raises(UnreachableError, match="no token was sent"):
            Transport(place).address()
        first.release()


def test_a_port_where_nobody_listens_and_one_that_never_answers_are_unreachable(state_dir: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        with pytest.raises(UnreachableError, match="does not answer"):
            Transport(point_at(state_dir, port)).call("GET", "/drain")
        silent.listen()
        with pytest.raises(UnreachableError, match="does not answer"):
            Transport(point_at(state_dir, port), proof_s=0.1).call("GET", "/drain")


def test_each_thread_keeps_one_connection_that_was_proved_once(state_dir: Path) -> None:
    with ours(lambda _: (200, {"idle": True})) as server:
        transport = Transport(point_at(state_dir, server.port))

        def three() -> None:
            for _ in range(3):
                assert transport.call("GET", "/drain").document == {"idle": True}
            transport.release()

        three()
        assert (len(server.heard), len(server.tokens)) == (4, 3)
        other = threading.Thread(target=three)
        other.start()
        other.join()
        assert (len(server.heard), len(server.tokens)) == (8, 6)


def test_after_a_relaunch_the_new_port_and_the_new_token_are_used(state_dir: Path) -> None:
    hung_up = threading.Event()
    with ours(lambda _: None if hung_up.is_set() else (200, {"launch": 1})) as first:
        transport = Transport(point_at(state_dir, first.port))
        assert transport.call("GET", "/drain").document == {"launch": 1}
        with ours(lambda _: (200, {"launch": 2}), NEW_TOKEN) as second:
            point_at(state_dir, second.port, NEW_TOKEN)
            hung_up.set()
            assert transport.call("GET", "/drain").document == {"launch": 2}
            assert second.tokens == [f"Bearer {NEW_TOKEN}"]
            transport.release()


def test_a_token_that_is_refused_is_read_again(state_dir: Path) -> None:
    place = StateDir(state_dir)

    def relaunched(path: str) -> tuple[int, object]:
        point_at(state_dir, second.port, NEW_TOKEN)
        return 401, {"error": {"code": "unauthorized", "message": path}}

    with ours(relaunched) as first, ours(lambda _: (200, {}), NEW_TOKEN) as second:
        point_at(state_dir, first.port)
        transport = Transport(place)
        assert transport.call("POST", "/quit", repeat=False).document == {}
        assert (len(first.tokens), len(second.tokens)) == (1, 1)
        transport.release()


def test_what_could_be_done_twice_is_not_sent_twice(state_dir: Path) -> None:
    """The server reads the request and hangs up: whether it did what was asked is unknown."""
    with ours(lambda _: None) as server:
        transport = Transport(point_at(state_dir, server.port))
        with pytest.raises(UnreachableError) as lost:
            transport.call("POST", "/quit", {"force": False}, repeat=False)
        assert lost.value.sent
        assert len(server.tokens) == 1
        with pytest.raises(UnreachableError):
            transport.call("POST", "/sessions/x/heartbeat")
        assert len(server.tokens) == 3


def test_an_error_keeps_its_code_its_details_and_its_trace_id(state_dir: Path) -> None:
    envelope = {"code": "illegal_move", "message": "No.", "details": {"legal_moves": []}, "trace_id": "1f"}
    with ours(lambda path: (409, {"error": envelope}) if path.endswith("cancel") else (503, b"busy")) as server:
        transport = Transport(point_at(state_dir, server.port))
        with pytest.raises(AnswerError, match=r"No\.") as refused:
            transport.call("POST", "/jobs/7/cancel", repeat=False)
        assert (refused.value.status, refused.value.code, refused.value.trace_id) == (409, "illegal_move", "1f")
        assert (refused.value.details, refused.value.exit_status) == ({"legal_moves": []}, 4)
        with pytest.raises(AnswerError, match="no explanation") as failed:
            transport.call("GET", "/drain")
        assert (failed.value.is_fault, failed.value.exit_status) == (True, 1)
        transport.release()


@pytest.mark.parametrize("state", ["asleep", 7, None])
def test_an_answer_of_another_version_is_an_error_in_words(state_dir: Path, state: object) -> None:
    answer = {
        "id": "x",
        "state": state,
        "expires_at": "2026-01-02T03:04:05.000Z",
        "heartbeat_s": 1,
        "shutting_down": False,
    }
    with ours(lambda _: (201, answer)) as server, Client(point_at(state_dir, server.port)) as client:
        session = client.session(kind="run", label="too new")
        with pytest.raises(UnreachableError, match="different versions"):
            session.renew()

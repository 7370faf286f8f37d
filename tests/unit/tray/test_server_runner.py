"""The server runner by itself: as often as wanted, at once, leaving nothing behind, never the end of anything else."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil
import pytest
from starlette.types import Receive, Scope, Send
from tests.support.program import PATIENCE_SECONDS, until

from exlab_wizard.process.server_json import read_server_file
from exlab_wizard.tray import admission, server_runner, uvicorn_server
from exlab_wizard.tray.server_runner import ServerError, ServerRunner


class Pages:
    """An application that answers, or streams without an end."""

    def __init__(self) -> None:
        self.closed = self.farewells = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the form of ASGI
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while scope["path"] == "/stream":
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"here"})

    def login_path(self, page: str) -> str:
        return f"/login?page={page}"

    def malformed(self) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        return b"{}", []

    async def farewell(self) -> None:
        assert self.farewells == self.closed
        self.farewells += 1

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.fixture
def runner(tmp_path: Path, pages: Pages) -> Iterator[ServerRunner]:
    """A runner that is not started; stopped at the end."""
    runner = ServerRunner(lambda _port: pages, tmp_path / "server.json", token="secret", started_at="now")  # noqa: S106 - of a test
    yield runner
    runner.stop()


def answer(port: int, path: str = "/") -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=5.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


@pytest.mark.slow
def test_fifty_starts_and_stops_in_a_row_leave_no_thread_no_descriptor_and_no_file(
    runner: ServerRunner, pages: Pages, tmp_path: Path
) -> None:
    runner.start()
    runner.stop()
    threads, descriptors = set(threading.enumerate()), psutil.Process().num_fds()
    for _ in range(50):
        port = runner.bind()
        runner.start()
        assert answer(port) == "here"
        runner.stop()
        with pytest.raises(ConnectionError):
            answer(port)
    assert set(threading.enumerate()) <= threads
    assert psutil.Process().num_fds() == descriptors
    assert list(tmp_path.iterdir()) == []
    assert pages.closed == 51


def test_stopping_is_harmless_before_the_start_and_twice(runner: ServerRunner) -> None:
    runner.stop()
    runner.start()
    runner.stop()
    runner.stop()


def test_who_connects_before_it_answers_is_answered_when_it_does(runner: ServerRunner) -> None:
    port = runner.bind()
    with socket.create_connection(("127.0.0.1", port), 5.0) as early:
        early.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        runner.start()
        assert early.recv(12) == b"HTTP/1.1 200"


def test_the_file_is_there_when_requests_are_answered_and_for_its_owner_only(
    runner: ServerRunner, tmp_path: Path
) -> None:
    file = tmp_path / "server.json"
    file.write_text(json.dumps({"port": 1, "pid": 1, "started_at": "then", "token": "old"}))
    port = runner.bind()
    assert not file.exists()
    runner.start()
    address = read_server_file(file)
    assert address is not None
    assert (address.port, address.pid, address.token) == (port, os.getpid(), "secret")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_reader_that_does_not_read_an_endless_answer_does_not_hold_up_the_stop(runner: ServerRunner) -> None:
    port = runner.bind()
    runner.start()
    with socket.create_connection(("127.0.0.1", port), 5.0) as dead:
        dead.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        assert dead.recv(12) == b"HTTP/1.1 200"
        began = time.monotonic()
        runner.stop()
        assert time.monotonic() - began < uvicorn_server.REQUEST_SECONDS, "it has waited for the reader"


def test_a_request_that_never_ends_is_cut_off(runner: ServerRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn_server, "REQUEST_SECONDS", 0.2)
    port = runner.bind()
    runner.start()
    with socket.create_connection(("127.0.0.1", port), 5.0) as slow:
        slow.sendall(b"GET / HT")
        assert not received(slow)
    with socket.create_connection(("127.0.0.1", port), 5.0) as silent:
        assert not received(silent)


def received(client: socket.socket) -> bytes:
    """Return what comes; nothing when the connection was cut off."""
    try:
        return client.recv(1)
    except ConnectionResetError:
        return b""


def test_more_connections_than_are_kept_are_cut_off_and_nothing_else(
    runner: ServerRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "MOST_CONNECTIONS", 3)
    port = runner.bind()
    runner.start()
    held = [socket.create_connection(("127.0.0.1", port), 5.0) for _ in range(3)]
    with socket.create_connection(("127.0.0.1", port), 5.0) as fourth:
        assert not received(fourth)
    for one in held:
        one.close()
    until(lambda: "here" in _tried(port), what="a free place")


def _tried(port: int) -> str:
    try:
        return answer(port)
    except (OSError, HTTPException):
        return ""


def test_an_application_that_cannot_be_built_is_said_and_leaves_nothing_behind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_port: int) -> Pages:
        raise ImportError("no module named fastapi")

    runner = ServerRunner(broken, tmp_path / "server.json", token="secret", started_at="now")  # noqa: S106 - of a test
    with caplog.at_level(logging.CRITICAL), pytest.raises(ServerError, match="syncing continues without it"):
        runner.start()
    runner.stop()
    assert list(tmp_path.iterdir()) == []


def test_without_a_port_it_says_so(runner: ServerRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    # An address that is not ours stands for a machine without a free port.
    monkeypatch.setattr(server_runner, "HOST", "192.0.2.1")
    with pytest.raises(ServerError, match="syncing continues without it"):
        runner.bind()


def test_an_application_that_was_built_while_the_stop_came_is_closed(tmp_path: Path, pages: Pages) -> None:
    building, may_go_on = threading.Event(), threading.Event()

    def build(_port: int) -> Pages:
        building.set()
        assert may_go_on.wait(PATIENCE_SECONDS)
        return pages

    runner = ServerRunner(build, tmp_path / "server.json", token="secret", started_at="now")  # noqa: S106 - of a test
    starts = threading.Thread(target=runner.start)
    starts.start()
    assert building.wait(PATIENCE_SECONDS)
    stops = threading.Thread(target=runner.stop)
    stops.start()
    until(lambda: runner._stopping, what="the stop to have begun")  # noqa: SLF001 - the very instant
    may_go_on.set()
    stops.join(PATIENCE_SECONDS)
    starts.join(PATIENCE_SECONDS)
    assert (pages.closed, pages.farewells) == (1, 0)
    assert not (tmp_path / "server.json").exists()

"""Whatever others send or hold open, the owner gets in, and the log stays readable."""

from __future__ import annotations

import contextlib
import resource
import socket
import sys
from http.client import HTTPConnection

import pytest
from tests.integration.api.api import PREFIX, Api
from tests.integration.api.test_security import exchange, parsed
from tests.support.accounts import held_connections, needs_root
from tests.support.program import Program, until

pytestmark = pytest.mark.slow

LOG_BYTES = 20 << 10


def logged(program: Program) -> int:
    """Return how much the program has logged since it was started, in both forms."""
    return len(program.log()) + sum(file.stat().st_size for file in (program.state / "logs").iterdir())


@needs_root
def test_a_thousand_connections_of_another_account_do_not_keep_the_owner_out(program: Program, api: Api) -> None:
    before = logged(program)
    with held_connections(api.address.port, 1000):
        assert program.call("status").returncode == 0
        with Api.of(program) as late:
            assert late.http.get("/").status_code == 200
    assert logged(program) - before < LOG_BYTES
    assert "connections from uid 65534: refused" in program.log()


def test_thousands_of_bad_requests_write_little(program: Program, api: Api) -> None:
    before = logged(program)
    address = api.address
    with contextlib.closing(HTTPConnection("127.0.0.1", address.port)) as client:
        for number in range(4_000):
            headers = {"Connection": "Upgrade", "Upgrade": "websocket"} if number % 2 else {"Authorization": "Bearer x"}
            client.request("GET", f"/nothing/{number}", headers=headers)
            assert client.getresponse().read()
    for _ in range(1_000):
        assert parsed(exchange(address, b"nonsense\r\n\r\n"))[0] == 400
    assert logged(program) - before < LOG_BYTES
    assert "http: 401: GET" in program.log()
    assert "http: not HTTP: 400" in program.log()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the limit of another process cannot be set")
def test_out_of_descriptors_it_says_so_once_and_accepts_again_later(program: Program, api: Api) -> None:
    before = logged(program)
    pid = program.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (64, limits[1]))
    with contextlib.ExitStack() as held:
        for _ in range(100):
            held.enter_context(socket.create_connection(("127.0.0.1", api.address.port)))
        until(lambda: "none can be accepted" in program.log(), what="the line about it")
    with Api.of(program) as late:
        assert late.get("/drain").status_code == 200
    assert program.log().count("none can be accepted") == 1
    assert logged(program) - before < LOG_BYTES


def test_headers_that_are_too_large_are_refused_in_one_piece_and_in_many(api: Api) -> None:
    head = f"GET {PREFIX}/jobs HTTP/1.1\r\nHost: 127.0.0.1:{api.address.port}\r\nConnection: close\r\n"
    token = f"Authorization: Bearer {api.address.token}\r\n"
    large = "".join(f"X-{number}: {'x' * 1000}\r\n" for number in range(20))
    whole = f"{head}{token}{large}\r\n".encode()
    status, _, body = parsed(exchange(api.address, whole))
    assert (status, b"bad_request" in body) == (400, True)
    with socket.create_connection(("127.0.0.1", api.address.port), 20.0) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):  # it need not read to the end
            for at in range(0, len(whole), 500):
                client.sendall(whole[at : at + 500])
        assert client.recv(12) == b"HTTP/1.1 400"
    assert parsed(exchange(api.address, f"{head}{token}X: {'x' * 8000}\r\n\r\n".encode()))[0] == 200


@pytest.mark.parametrize(
    ("length", "expected"), [("9" * 19, 400), ("9" * 16, 400), ("99999999", 413), ("2000000", 413)]
)
def test_a_body_that_cannot_be_and_never_comes_is_answered(api: Api, length: str, expected: int) -> None:
    head = f"POST {PREFIX}/jobs HTTP/1.1\r\nHost: 127.0.0.1:{api.address.port}\r\nContent-Length: {length}\r\n"
    with socket.create_connection(("127.0.0.1", api.address.port), 20.0) as client:
        client.sendall(f"{head}Authorization: Bearer {api.address.token}\r\n\r\n".encode())
        assert client.recv(12) == f"HTTP/1.1 {expected}".encode()

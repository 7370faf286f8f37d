"""Who gets in: the owner's programs and nobody else. What is refused changes nothing in the database."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.integration.api.api import PREFIX, Api, code_of, error_of
from tests.support.program import Program

from exlab_wizard.process.server_json import ServerAddress
from exlab_wizard.server.auth.access_control import BODY_LIMIT_BYTES

pytestmark = pytest.mark.slow

OPEN = json.dumps({"kind": "run", "label": "x"})
COUNTS = " UNION ALL ".join(
    f"SELECT count(*) FROM {table}" for table in ("session_leases", "sync_jobs", "quit_requests", "job_events")
)


@pytest.fixture(autouse=True)
def _nothing_changes(served: Program) -> Iterator[None]:
    before = served.query(COUNTS)
    yield
    assert served.query(COUNTS) == before
    assert served.process.poll() is None, served.log()


@dataclass(frozen=True)
class Raw:
    """A request, byte by byte, unless a client would never send it so."""

    method: str = "POST"
    path: str = f"{PREFIX}/sessions"
    host: str = "127.0.0.1:{port}"
    bearer: str | None = "{token}"
    more: Sequence[str] = ()
    body: str = OPEN
    expected: tuple[int, str] = (0, "")
    name: str = field(default="", compare=False)

    def send(self, address: ServerAddress) -> bytes:
        """Return the whole answer."""
        head = [f"{self.method} {self.path} HTTP/1.1", f"Host: {self.host}", "Content-Type: application/json"]
        head += [f"Authorization: Bearer {self.bearer}"] if self.bearer is not None else []
        head += [*self.more, f"Content-Length: {len(self.body)}", "Connection: close"]
        text = "\r\n".join(head).replace("{port}", str(address.port)).replace("{token}", address.token)
        return exchange(address, f"{text}\r\n\r\n{self.body}".encode("latin-1"))


def exchange(address: ServerAddress, sent: bytes, *, end: bool = False) -> bytes:
    """Send bytes, and with `end` say that no more follow; return what comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", address.port), 20.0) as client:
        client.sendall(sent)
        if end:
            client.shutdown(socket.SHUT_WR)
        answer = b""
        while more := client.recv(65536):
            answer += more
    return answer


def parsed(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return int(first.split()[1]), {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines}, body


UNAUTHORIZED, CROSS, HOST = (401, "unauthorized"), (403, "cross_origin"), (400, "bad_host")
BAD, INVALID = (400, "bad_request"), (422, "invalid")
NOT_FOUND, METHOD = (404, "not_found"), (405, "method_not_allowed")
REFUSED = [
    Raw(name="no token", bearer=None, expected=UNAUTHORIZED),
    Raw(name="a wrong token", bearer="x" * 43, expected=UNAUTHORIZED),
    Raw(name="a token that is cut off", bearer="", expected=UNAUTHORIZED),
    Raw(name="a token with bytes beyond ASCII", bearer="\xff\xfe", expected=UNAUTHORIZED),
    Raw(name="a cookie nobody gave out", bearer=None, more=["Cookie: exlab_wizard=abc"], expected=UNAUTHORIZED),
    Raw(name="a cookie that is none", bearer=None, more=["Cookie: =;;=\x7f"], expected=UNAUTHORIZED),
    Raw(name="another scheme", bearer=None, more=["Authorization: Basic {token}"], expected=UNAUTHORIZED),
    Raw(name="the token in the URL", bearer=None, path=f"{PREFIX}/sessions?token={{token}}", expected=UNAUTHORIZED),
    Raw(name="the schema without a token", method="GET", path="/openapi.json", bearer=None, expected=UNAUTHORIZED),
    Raw(name="an unknown path without a token", method="GET", path="/nothing", bearer=None, expected=UNAUTHORIZED),
    Raw(name="health with a wrong token", method="GET", path=f"{PREFIX}/health", bearer="x", expected=UNAUTHORIZED),
    Raw(name="a rebound name", host="evil.example:{port}", expected=HOST),
    Raw(
        name="a rebound name, for health",
        host="evil.example:{port}",
        path=f"{PREFIX}/health",
        method="GET",
        expected=HOST,
    ),
    Raw(name="our name as a prefix", host="127.0.0.1.evil.example:{port}", expected=HOST),
    Raw(name="our name behind an @", host="evil@127.0.0.1:{port}", expected=HOST),
    Raw(name="another port", host="127.0.0.1:1", expected=HOST),
    Raw(name="no port", host="127.0.0.1", expected=HOST),
    Raw(name="an address of the network", host="192.168.1.5:{port}", expected=HOST),
    Raw(name="a page of another site", more=["Origin: https://evil.example"], expected=CROSS),
    Raw(name="a page in a sandbox", more=["Origin: null"], expected=CROSS),
    Raw(name="a page of another port of ours", more=["Origin: http://127.0.0.1:1"], expected=CROSS),
    Raw(name="a page over https", more=["Origin: https://127.0.0.1:{port}"], expected=CROSS),
    Raw(name="a form of another site", more=["Sec-Fetch-Site: cross-site"], expected=CROSS),
    Raw(name="a form of another port", more=["Sec-Fetch-Site: same-site"], expected=CROSS),
    Raw(name="a form that navigates", more=["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"], expected=CROSS),
    Raw(
        name="a script of another site that reads",
        method="GET",
        body="",
        more=["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"],
        expected=CROSS,
    ),
    Raw(name="a preflight", method="OPTIONS", body="", more=["Origin: https://evil.example"], expected=CROSS),
    Raw(name="JSON as a form", body="kind=run&label=x", expected=BAD),
    Raw(name="half of the JSON", body='{"kind": "run", ', expected=BAD),
    Raw(name="JSON without an end to its depth", body="[" * 100_000, expected=BAD),
    Raw(name="bytes that are no UTF-8", body='{"kind": "run", "label": "\xff"}', expected=BAD),
    Raw(name="a number without an end", body=f'{{"kind": "run", "label": {"9" * 5000}}}', expected=BAD),
    Raw(name="half of a character", body='{"kind": "run", "label": "\\ud800"}', expected=INVALID),
    Raw(
        name="a time that is no number",
        body='{"kind": "run", "label": "x", "ttl_s": NaN}',
        expected=INVALID,
    ),
    Raw(
        name="a time without end",
        body='{"kind": "run", "label": "x", "ttl_s": Infinity}',
        expected=INVALID,
    ),
    Raw(name="what nobody knows", body='{"kind": "run", "label": "x", "y": 1}', expected=INVALID),
    Raw(
        name="an id that is a path",
        body='{"kind": "run", "label": "x", "id": "../../etc/passwd"}',
        expected=INVALID,
    ),
    Raw(
        name="an id with a line of its own",
        body='{"kind": "run", "label": "x", "id": "abcdefgh\\nSet-Cookie: a=b"}',
        expected=INVALID,
    ),
    Raw(name="a body that says it is large", more=[], body="x" * (BODY_LIMIT_BYTES + 1), expected=(413, "too_large")),
    Raw(
        name="an instrument that is a path",
        body='{"kind": "run", "label": "x", "equipment_id": "../up"}',
        expected=INVALID,
    ),
    Raw(
        name="a job number beyond all numbers",
        method="GET",
        path=f"{PREFIX}/jobs/{10**30}",
        body="",
        expected=INVALID,
    ),
    Raw(
        name="a number of another script",
        method="GET",
        path=f"{PREFIX}/jobs/%D9%A3x",
        body="",
        expected=INVALID,
    ),
    Raw(
        name="a path that goes up",
        method="GET",
        path=f"{PREFIX}/../../etc/passwd",
        body="",
        expected=NOT_FOUND,
    ),
    Raw(
        name="a path that goes up, escaped",
        method="GET",
        path=f"{PREFIX}/jobs/%2e%2e%2fdb",
        body="",
        expected=NOT_FOUND,
    ),
    Raw(name="a path with a NUL", method="GET", path=f"{PREFIX}/sessions/%00", body="", expected=NOT_FOUND),
    Raw(name="a slash too many", method="GET", path=f"{PREFIX}/jobs/", body="", expected=NOT_FOUND),
    Raw(name="documentation with foreign scripts", method="GET", path="/docs", body="", expected=NOT_FOUND),
    Raw(name="another method", method="DELETE", body="", expected=METHOD),
    Raw(name="a method nobody knows", method="BREW", body="", expected=METHOD),
    Raw(name="TRACE", method="TRACE", body="", expected=METHOD),
    Raw(name="a code nobody gave out", method="GET", path="/login?code=abc", body="", expected=UNAUTHORIZED),
]


@pytest.mark.parametrize("raw", REFUSED, ids=lambda raw: raw.name.replace(" ", "-"))
def test_this_is_refused_in_the_one_form(shared: Api, served: Program, raw: Raw) -> None:
    status, headers, body = parsed(raw.send(shared.address))
    error = json.loads(body)["error"]
    assert (status, error["code"]) == raw.expected, body
    assert "access-control-allow-origin" not in headers
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-type"] == "application/json"
    assert len(error["trace_id"]) == 16
    assert f"http: {status}: " in served.log()
    assert shared.address.token not in served.log()


NOT_HTTP = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil\r\n\r\n",
    b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000 + b"\r\n\r\n",
    b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
    b"GET / HTTP/1.1\r\n no: header\r\n\r\n",
]


@pytest.mark.parametrize("sent", NOT_HTTP, ids=range(len(NOT_HTTP)))
def test_what_is_not_http_is_refused_in_the_one_form_too(shared: Api, served: Program, sent: bytes) -> None:
    status, headers, body = parsed(exchange(shared.address, sent))
    error = json.loads(body)["error"]
    assert (status, error["code"]) == (400, "bad_request")
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert len(error["trace_id"]) == 16
    assert "http: not HTTP: 400, trace " in served.log()


def test_of_each_kind_the_first_refusal_in_a_minute_is_logged_with_its_trace(program: Program, api: Api) -> None:
    traces = [error_of(api.get(f"/jobs/{job}"))["trace_id"] for job in (1, 2)]
    assert f"404, trace {traces[0]}" in program.log()
    assert f"{traces[1]}" not in program.log()
    assert f"422, trace {error_of(api.get('/jobs/x'))['trace_id']}" in program.log()


def test_a_body_in_pieces_is_cut_off_at_the_limit_as_well(shared: Api) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(BODY_LIMIT_BYTES // 65536 + 2):
            yield b" " * 65536

    answer = shared.http.post(f"{PREFIX}/sessions", content=pieces(), headers={"Content-Type": "application/json"})
    assert code_of(answer) == (413, "too_large")


def test_health_without_a_token_says_one_word_for_each_part_and_nothing_else(shared: Api) -> None:
    status, _, body = parsed(Raw(method="GET", path=f"{PREFIX}/health", bearer=None, body="").send(shared.address))
    told = json.loads(body)
    assert status == 200
    assert set(told["components"]) == {
        *("database", "workers", "leases", "destinations", "server"),
        *("watchdog", "maintenance", "session"),
    }
    assert {part["reason"] for part in told["components"].values()} == {None}
    assert [told[name] for name in ("bytes_last_minute", "version", "launch_id", "phase")] == [None] * 4


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_every_name_of_this_machine_itself_is_good(shared: Api, host: str) -> None:
    raw = Raw(method="GET", host=f"{host}:{{port}}", body="", more=[f"Origin: http://{host.lower()}:{{port}}"])
    assert parsed(raw.send(shared.address))[0] == 200


def test_a_browser_gets_in_with_a_link_that_works_once(shared: Api) -> None:
    link = shared.post("/login").json()
    assert shared.address.token not in link["path"]
    first = parsed(Raw(method="GET", path=link["path"], bearer=None, body="").send(shared.address))
    assert (first[0], first[1]["location"]) == (303, "/#opened")
    cookie, *attributes = first[1]["set-cookie"].split("; ")
    assert {word.lower() for word in attributes} >= {"httponly", "samesite=strict", "path=/"}
    again = parsed(Raw(method="GET", path=link["path"], bearer=None, body="").send(shared.address))
    assert (again[0], json.loads(again[2])["error"]["code"]) == UNAUTHORIZED

    def visit(*more: str) -> int:
        raw = Raw(method="GET", path=f"{PREFIX}/jobs", bearer=None, body="", more=[f"Cookie: a=b; {cookie}", *more])
        return parsed(raw.send(shared.address))[0]

    assert visit() == visit("Sec-Fetch-Site: same-origin") == 200
    assert visit("Sec-Fetch-Site: same-site") == visit("Origin: http://127.0.0.1:1") == 403


def test_an_error_names_the_field_and_never_repeats_the_value(shared: Api) -> None:
    secret = "s3cret-value"  # noqa: S105 - a value that must not come back
    answer = shared.post("/sessions", {"kind": secret, "label": ""})
    error = error_of(answer)
    assert (answer.status_code, error["field"]) == (422, "kind")
    assert [one["field"] for one in answer.json()["error"]["details"]["errors"]] == ["kind", "label"]
    assert secret not in answer.text


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=300), cut=st.integers(0, 200))
def test_noise_never_hurts_the_server(shared: Api, noise: bytes, cut: int) -> None:
    good = f"GET {PREFIX}/jobs HTTP/1.1\r\nHost: 127.0.0.1:{shared.address.port}\r\n".encode()
    answer = exchange(shared.address, good[:cut] + noise + b"\r\n\r\n", end=True)
    assert not answer or parsed(answer)[0] in (200, 400, 401, 403, 404, 405)

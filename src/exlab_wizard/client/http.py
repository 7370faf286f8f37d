"""Requests to the application: JSON over one keep-alive connection for each thread, each with a timeout.

Before the token is sent, the server at the port must prove that it knows the token. A lost connection is replaced by
one from a fresh `server.json`, since port and token change with each launch. A request whose answer was lost is sent
again only where that cannot do the thing twice. A forked child never uses its parent's connection.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from exlab_wizard.client.errors import AnswerError, UnreachableError
from exlab_wizard.domain.codec import DecodeError, decode
from exlab_wizard.paths import StateDir
from exlab_wizard.process.server_json import (
    CHALLENGE_HEADER,
    ServerAddress,
    ServerFileError,
    proof_of,
    require_server_file,
)

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse

    from _typeshed import DataclassInstance

_View = TypeVar("_View", bound="DataclassInstance")
Document = Mapping[str, object]

API: Final = "/api/v1"
PROOF_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 20.0
_UNAUTHORIZED: Final = 401
_FIRST_ERROR: Final = 400


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the application: the HTTP status and the document."""

    status: int
    document: Document

    def read(self, kind: type[_View]) -> _View:
        """Return the view that the document holds.

        Raises:
            UnreachableError: it holds something else.
        """
        try:
            return decode(kind, self.document)
        except DecodeError as error:
            msg = f"the application and this program are different versions: {error}. Install the same version of both."
            raise UnreachableError(msg, sent=True) from error


@dataclass(slots=True)
class _ProvenConnection:
    """A connection whose other end has proved itself, and whose process made it."""

    connection: HTTPConnection
    address: ServerAddress
    pid: int

    def request(
        self, method: str, path: str, headers: Mapping[str, str], timeout_s: float, payload: str | None = None
    ) -> HTTPResponse:
        if self.connection.sock is not None:
            self.connection.sock.settimeout(timeout_s)
        authority = {"Authorization": f"Bearer {self.address.token}"}
        self.connection.request(method, API + path, payload, {**authority, **headers})
        return self.connection.getresponse()


class Transport:
    """The way to the application of one state dir. Thread-safe: each thread has a connection of its own.

    Nothing is read or connected before the first call. `proof_s` is how long the server has to prove itself, `answer_s`
    how long a request may take. A write waits up to 10 s for another program that holds the database.
    """

    def __init__(
        self, state_dir: StateDir, *, proof_s: float = PROOF_SECONDS, answer_s: float = ANSWER_SECONDS
    ) -> None:
        self._state_dir = state_dir
        self._proof_s = proof_s
        self._answer_s = answer_s
        self._local = threading.local()

    def address(self) -> ServerAddress:
        """Return where the server is, once it has proved itself on this thread's connection.

        Raises:
            UnreachableError: no server that is ours answers.
        """
        return self._connected().address

    def call(
        self,
        method: str,
        path: str,
        body: Document | None = None,
        *,
        repeat: bool = True,
        answer_s: float | None = None,
    ) -> Answer:
        """Send one request and return its answer, within `answer_s` where that is given.

        When the connection is lost the request is sent once more, on a new one; with `repeat` False it is not, since
        that could do the thing twice.

        Raises:
            UnreachableError: no answer.
            AnswerError: the answer is an error.
        """
        if not repeat:
            # A kept connection may have been closed meanwhile; only on a new one a failure says something.
            self.release()
        try:
            answer = self._exchange(method, path, body, answer_s)
        except UnreachableError as error:
            if not (repeat and error.sent) or isinstance(error.__cause__, TimeoutError):
                raise
            answer = self._exchange(method, path, body, answer_s)
        if answer.status == _UNAUTHORIZED:
            # Of another launch: the request was refused, so sending it again cannot do the thing twice.
            self.release()
            answer = self._exchange(method, path, body, answer_s)
        if answer.status >= _FIRST_ERROR:
            raise _error_of(answer)
        return answer

    @contextlib.contextmanager
    def stream(self, path: str, headers: Mapping[str, str], silence_s: float) -> Iterator[HTTPResponse]:
        """Lend a streamed answer, over a connection of its own, which may be silent for `silence_s` at most.

        Raises:
            UnreachableError: no answer.
            AnswerError: the answer is an error.
        """
        proven = self._open()
        with contextlib.closing(proven.connection):
            try:
                response = proven.request("GET", path, headers, silence_s)
                content = b"" if response.status < _FIRST_ERROR else response.read()
            except faults() as error:
                raise _unreachable(proven.address, error, sent=False) from error
            if response.status >= _FIRST_ERROR:
                raise _error_of(Answer(response.status, _document_in(content)))
            with response:
                yield response

    def release(self) -> None:
        """Close this thread's connection, if it has one; the next call opens another."""
        proven: _ProvenConnection | None = getattr(self._local, "proven", None)
        self._local.proven = None
        if proven is not None:
            # In a forked child this closes the child's copy only.
            proven.connection.close()

    def _exchange(self, method: str, path: str, body: Document | None, answer_s: float | None) -> Answer:
        proven = self._connected()
        payload = None if body is None else json.dumps(body, allow_nan=False)
        headers = {} if payload is None else {"Content-Type": "application/json"}
        try:
            response = proven.request(method, path, headers, answer_s or self._answer_s, payload)
            content = response.read()
        except faults() as error:
            self.release()
            raise _unreachable(proven.address, error, sent=True) from error
        if response.will_close:
            self.release()
        return Answer(response.status, _document_in(content))

    def _connected(self) -> _ProvenConnection:
        proven: _ProvenConnection | None = getattr(self._local, "proven", None)
        if proven is not None and proven.pid == os.getpid():
            return proven
        self.release()
        proven = self._open()
        self._local.proven = proven
        return proven

    def _open(self) -> _ProvenConnection:
        from http.client import HTTPConnection  # noqa: PLC0415 - a third of the import; needed only to connect

        try:
            address = require_server_file(self._state_dir.server)
        except ServerFileError as error:
            raise UnreachableError(str(error)) from error
        connection = HTTPConnection("127.0.0.1", address.port, timeout=self._proof_s)
        try:
            _require_proof(connection, address)
        except faults() as error:
            connection.close()
            raise _unreachable(address, error, sent=False) from error
        except UnreachableError:
            connection.close()
            raise
        return _ProvenConnection(connection, address, os.getpid())


def faults() -> tuple[type[Exception], ...]:
    """Return the exceptions that a connection may raise."""
    from http.client import HTTPException  # noqa: PLC0415 - as in `Transport`

    return HTTPException, OSError


def _require_proof(connection: HTTPConnection, address: ServerAddress) -> None:
    """Let the other end prove that it knows the token, without telling it."""
    challenge = os.urandom(16).hex()
    connection.connect()
    # A closed connection must not reopen automatically: the token would go to whatever listens there by then.
    connection.auto_open = 0
    connection.request("GET", f"{API}/health", headers={CHALLENGE_HEADER: challenge})
    response = connection.getresponse()
    # A stranger's answer may be endless.
    document = _document_in(response.read(1 << 20))
    proof = document.get("proof")
    if not (
        isinstance(proof, str) and hmac.compare_digest(proof.encode(), proof_of(address.token, challenge).encode())
    ):
        fault = f"the server at port {address.port} is not the application that wrote server.json"
        msg = f"{fault}; no token was sent. Restart the application."
        raise UnreachableError(msg)


def _document_in(content: bytes) -> Document:
    try:
        document: object = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return {str(name): value for name, value in document.items()} if isinstance(document, dict) else {}


def _error_of(answer: Answer) -> AnswerError:
    match answer.document.get("error"):
        case {"code": str(code), "message": str(message), **rest}:
            field, details, trace_id = rest.get("field"), rest.get("details"), rest.get("trace_id")
            return AnswerError(
                answer.status,
                code,
                message,
                field=field if isinstance(field, str) else None,
                details=details if isinstance(details, dict) else None,
                trace_id=trace_id if isinstance(trace_id, str) else None,
            )
    msg = f"the application answered with status {answer.status} and no explanation. Its log has the details."
    return AnswerError(answer.status, "unknown", msg)


def _unreachable(address: ServerAddress, error: Exception, *, sent: bool) -> UnreachableError:
    said = str(error) or type(error).__name__
    server = f"the application's server at {address.url} (pid {address.pid})"
    msg = f"{server} does not answer: {said.rstrip('.')}. Check it with: exlab-wizard doctor"
    return UnreachableError(msg, sent=sent)

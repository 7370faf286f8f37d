"""Access control: which requests are let through. Other users of this machine and pages of other sites are refused.

It runs before all routes: it checks account, host, origin, credentials and size, gives each request its trace id,
writes its log line, and turns an uncaught error into the envelope. The token and the query string are never logged.
Refusals are logged once a minute of each kind: others can cause as many as they like.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
import traceback
from collections.abc import Callable, Container
from http.cookies import CookieError, SimpleCookie
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exlab_wizard.process.logs import LogEachMinute
from exlab_wizard.process.peers import account
from exlab_wizard.server.auth.login import COOKIE, FORGET, Logins
from exlab_wizard.server.errors import ApiError, Code, as_api_error, new_trace_id, refusal

log = logging.getLogger(__name__)

HEAD_LIMIT_BYTES: Final = 16 << 10
BODY_LIMIT_BYTES: Final = 1 << 20
DISCARDED_BYTES: Final = 16 << 20
DISCARD_SECONDS: Final = 2.0
"""How much of a body that is too large is read: many clients read the answer only after they have sent everything."""
MOST_REQUESTS: Final = 512
_HEALTH: Final = "/api/v1/health"
OPEN_PATHS: Final = (_HEALTH, "/login", "/reconnect", "/reconnect/answer")
"""Paths that answer without a token: health, in one word for each part, and the logins, each with its own proof."""
OPEN_FOLDERS: Final = ("/static/",)
"""The style, script and icon of the page; they reveal nothing about this installation."""
_READS: Final = ("GET", "HEAD")
_LOGGED_CHARS: Final = 200
_LENGTH_DIGITS: Final = 15
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_PAGE_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    # With `no-referrer` a browser sends forms with the origin `null`, which any site could send.
    "Referrer-Policy": "same-origin",
}
Accounts = Callable[[], Container[int]]
Refusal = Callable[[Scope, ApiError, str], Response]
"""Makes the answer to a refused request from its scope, the error and the trace id."""


class AccessControl:
    """ASGI middleware that lets requests through with `token` or a cookie of `logins`; `refused` answers the others.

    Of other accounts only those that `admitted` returns may send credentials. Event streams pass through it unbuffered.
    """

    def __init__(  # noqa: PLR0913 - one parameter for each thing that access depends on
        self, app: ASGIApp, refused: Refusal, *, port: int, token: str, logins: Logins, admitted: Accounts
    ) -> None:
        self._app, self._admitted = app, admitted
        self._log = LogEachMinute(log)
        self._refused = refused
        self._token = token.encode()
        self._logins = logins
        self._hosts = re.compile(rf"(?:127\.0\.0\.1|localhost|\[::1\]):{port}", re.IGNORECASE)
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        exchange = _Exchange(scope, receive, send, self._refused)
        self._requests += 1
        try:
            self._check(scope)
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:  # boundary: whatever a handler raises, the client gets the envelope
            await exchange.fail(error)
        finally:
            self._requests -= 1
            exchange.write_log(self._log)

    def malformed(self) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """Return body and headers of the answer to a request that is not HTTP, and log it."""
        trace_id = new_trace_id()
        self._log.report("http: not HTTP", logging.INFO, f"400, trace {trace_id}")
        answer = refusal(
            ApiError(Code.BAD_REQUEST, "This is not HTTP, or its headers are too large. Send HTTP/1.1."), trace_id
        )
        answer.headers.update(_HEADERS)
        del answer.headers["content-length"]
        return bytes(answer.body), list(answer.raw_headers)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        stranger: int | None = scope["state"]["stranger"]
        path = str(scope["path"])
        credentials = self._credentials(headers)
        if stranger is not None and stranger not in self._admitted() and (path != _HEALTH or credentials is not None):
            raise ApiError(Code.OTHER_ACCOUNT, "Only the account that the application runs under may use it.")
        head = len(scope["raw_path"]) + len(scope["query_string"])
        if head + sum(len(name) + len(value) + 4 for name, value in headers.raw) > HEAD_LIMIT_BYTES:
            raise ApiError(Code.BAD_REQUEST, f"The headers exceed {HEAD_LIMIT_BYTES} bytes. Send smaller ones.")
        length = headers.get("content-length", "")
        if len(length) > _LENGTH_DIGITS:
            raise ApiError(Code.BAD_REQUEST, "The Content-Length header is invalid. Send the body's length.")
        if not self._hosts.fullmatch(headers.get("host", "")):
            raise ApiError(
                Code.BAD_HOST, "Use the address in server.json: this server accepts only loopback host names."
            )
        self._check_origin(scope["method"], headers)
        if headers.get("service-worker") == "script":
            # A server that had this port before has left it in the browser: answer it so that the browser drops it.
            none = ApiError(Code.NOT_FOUND, "There is no service worker here.")
            none.headers = FORGET
            raise none
        if credentials is False or (
            credentials is None and path not in OPEN_PATHS and not path.startswith(OPEN_FOLDERS)
        ):
            raise ApiError(Code.UNAUTHORIZED, "Send the token of server.json: `Authorization: Bearer TOKEN`.")
        scope["state"]["authenticated"] = credentials is True
        scope["state"]["by_cookie"] = credentials is True and "authorization" not in headers
        if self._requests > MOST_REQUESTS:
            raise ApiError(Code.BUSY, "Too many requests at once. Send this one again in a moment.")
        if length.isdecimal() and int(length) > BODY_LIMIT_BYTES:
            raise _too_large()

    def _check_origin(self, method: str, headers: Headers) -> None:
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        foreign = origin is not None and not self._hosts.fullmatch(origin.removeprefix("http://"))
        # A person may follow a link to us from anywhere; a browser sends no Strict cookie with that.
        visited = method in _READS and headers.get("sec-fetch-mode") == "navigate"
        if foreign or (site not in ("same-origin", "none") and not visited):
            raise ApiError(Code.CROSS_ORIGIN, "Pages of other sites may not use this server.")

    def _credentials(self, headers: Headers) -> bool | None:
        """Return whether the credentials are valid; None without any, or with only the cookie of another launch."""
        authorization = headers.get("authorization")
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            return scheme.lower() == "bearer" and secrets.compare_digest(token.strip().encode(), self._token)
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return None
        # A browser keeps the cookie of an earlier launch, and sends it with the link that logs it in again.
        return True if cookie is not None and self._logins.accepts(cookie.value.encode()) else None


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, refused: Refusal) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._refused = refused
        self._trace_id = new_trace_id()
        scope.setdefault("state", {})["trace_id"] = self._trace_id
        self._received = 0
        self._status = 0
        self._fault: Exception | None = None

    async def receive(self) -> Message:
        message = await self._receive()
        self._received += len(message.get("body", b""))
        if self._received > BODY_LIMIT_BYTES:
            raise _too_large()
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(scope=message)
            is_page = headers.get("content-type", "").startswith("text/html")
            for name, value in ({**_HEADERS, **_PAGE_HEADERS} if is_page else _HEADERS).items():
                headers.setdefault(name, value)
        await self._send(message)

    async def fail(self, error: Exception) -> None:
        """Answer with the envelope, unless an answer has begun."""
        api_error = as_api_error(error)
        if api_error.code is Code.TOO_LARGE:
            await self._discard()
        if api_error.code is Code.INTERNAL:
            self._fault = error
        if not self._status:
            await self._refused(self._scope, api_error, self._trace_id)(self._scope, self._receive, self.send)

    async def _discard(self) -> None:
        more = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_SECONDS):
                while more and self._received <= DISCARDED_BYTES:
                    message = await self._receive()
                    self._received += len(message.get("body", b""))
                    more = message.get("more_body", False)

    def write_log(self, refusals: LogEachMinute) -> None:
        """Write the log line: the path without its query, nothing of headers and body."""
        request = (self._scope["method"], str(self._scope["path"])[:_LOGGED_CHARS], self._status, self._trace_id)
        if self._fault is not None:
            at = traceback.extract_tb(self._fault.__traceback__)[-1]
            kind, level = f"http: {type(self._fault).__name__} in line {at.lineno} of {at.name}", logging.ERROR
        elif self._status >= 400:  # noqa: PLR2004 - the classes of HTTP
            stranger = self._scope["state"]["stranger"]
            kind = f"http: {self._status}" if stranger is None else f"http: {self._status} to {account(stranger)}"
            level = logging.INFO if self._status < 500 and stranger is None else logging.WARNING  # noqa: PLR2004 - likewise
        else:
            log.debug("http: %s %r: %d, trace %s", *request)
            return
        refusals.report(kind, level, "{} {!r}: {}, trace {}".format(*request), self._fault)


def _too_large() -> ApiError:
    return ApiError(Code.TOO_LARGE, f"The body is larger than {BODY_LIMIT_BYTES} bytes. Send less in one request.")

"""`/admin/`: browse and query the database, read-only, with Datasette, where the extra `admin` is installed.

Datasette is loaded with the first request. It runs on our connections and threads, gets neither cookie nor token, and
answers only GET and HEAD below a few paths. The same access control as for all other paths applies.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from exlab_wizard.server.errors import ApiError, Code
from exlab_wizard.server.thread_pools import ThreadPool
from exlab_wizard.store.readonly.browsing import Readers

if TYPE_CHECKING:
    from exlab_wizard.server.admin.datasette import DatabaseBrowser

PREFIX: Final = "/admin"
THREADS: Final = 2
_READS: Final = ("GET", "HEAD")
_PASSED_ON: Final = (b"host", b"accept")
_NO_TABLE: Final = (
    "There is no table to send: the query was refused, took too long, or has no columns. Request .json instead of .csv"
    " to see which."
)
_HOW_TO_INSTALL: Final = (
    "Browsing the database needs the extra `admin`. Install it with: pip install 'exlab-wizard[admin]', and restart"
    " the application."
)


def is_installed() -> bool:
    """Return whether the extra `admin` is installed."""
    return find_spec("datasette") is not None


class _Answer:
    """Sends an answer, a `delayed` one only with content: Datasette refuses CSV with status 200 and an empty body.

    `start` is set while the answer has begun and had no content; then nothing of it was sent.
    """

    def __init__(self, send: Send, policy: str, *, delayed: bool) -> None:
        self._send = send
        self._policy = policy
        self._delayed = delayed
        self.start: Message | None = None

    async def __call__(self, message: Message) -> None:
        """Take one message of the answer."""
        if message["type"] == "http.response.start":
            message = {**message, "headers": _outer(message["headers"], self._policy)}
            if self._delayed and message["status"] == HTTPStatus.OK:
                self.start = message
                return
        if self.start is not None:
            if not message.get("body", b"").strip():
                return
            await self._send(self.start)
            self.start = None
        await self._send(message)


class Browsing:
    """The ASGI application below `/admin`; the first request loads Datasette, in `loading`."""

    def __init__(self, database: Path, loading: ThreadPool) -> None:
        self._readers = Readers(database)
        self._pool = ThreadPool("admin", THREADS, self._readers.release)
        self._database = database
        self._loading = loading
        self._lock = asyncio.Lock()
        self._browser: DatabaseBrowser | None = None

    def join(self, app: FastAPI) -> None:
        """Mount this application below `/admin` in `app`."""

        async def first(_request: Request) -> Response:
            return RedirectResponse(f"{PREFIX}/", 303)

        app.add_route(PREFIX, first, include_in_schema=False)
        app.mount(PREFIX, self)

    def close(self) -> None:
        """Interrupt queries and end the threads; requests that wait are refused."""
        self._readers.close()
        self._pool.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            ApiError: it is not a read, names none of our pages, or the extra is not installed.
        """
        if scope["method"] not in _READS:
            refused = ApiError(Code.METHOD_NOT_ALLOWED, "The database is read-only here. Use GET.")
            refused.headers = {"Allow": ", ".join(_READS)}
            raise refused
        path = str(scope["path"]).removeprefix(PREFIX)
        browser = await self._loaded()
        if not browser.has(path):
            raise ApiError(Code.NOT_FOUND, f"There is nothing at this path. Start at {PREFIX}/.")
        answer = _Answer(send, browser.policy, delayed=path.endswith(".csv"))
        await browser.app(_inner(scope, path), receive, answer)
        if answer.start is not None:
            raise ApiError(Code.BAD_REQUEST, _NO_TABLE)

    async def _loaded(self) -> DatabaseBrowser:
        async with self._lock:
            if self._browser is None:
                self._browser = await self._loading.run(self._load)
        return self._browser

    def _load(self) -> DatabaseBrowser:
        try:
            from exlab_wizard.server.admin.datasette import DatabaseBrowser  # noqa: PLC0415 - an extra, slow to load
        except ImportError as error:
            raise ApiError(Code.NOT_FOUND, _HOW_TO_INSTALL) from error
        return DatabaseBrowser(self._database, self._readers, self._pool, f"{PREFIX}/")


def _inner(scope: Scope, path: str) -> dict[str, object]:
    """Return the request as one to an application at the root, without credentials."""
    raw = scope.get("raw_path") or path.encode()
    headers = [(name, value) for name, value in scope["headers"] if name in _PASSED_ON]
    return {**scope, "path": path, "raw_path": raw.removeprefix(PREFIX.encode()), "root_path": "", "headers": headers}


def _outer(raw: list[tuple[bytes, bytes]], policy: str) -> list[tuple[bytes, bytes]]:
    lower = [(name.lower(), value) for name, value in raw]
    headers = MutableHeaders(raw=[(name, value) for name, value in lower if name != b"set-cookie"])
    # Datasette redirects as if it were at the root.
    location = headers.get("location", "")
    if location.startswith("/") and not location.startswith(f"{PREFIX}/"):
        headers["location"] = PREFIX + location
    headers.update({"Content-Security-Policy": policy, "Cache-Control": "no-store"})
    return headers.raw

"""`/admin/`: the database to look through and to ask, read-only, by Datasette, where the extra `admin` is installed.

Datasette is loaded with the first request. It gets our connections and our threads instead of its own, no cookie and no
token, and answers GET below a few paths only; behind it stands the same door as before everything else.
"""

from __future__ import annotations

import asyncio
from functools import partial
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
from exlab_wizard.server.thread_pools import Lane
from exlab_wizard.store.readonly.browsing import Readers

if TYPE_CHECKING:
    from exlab_wizard.server.admin.datasette import Browser

PREFIX: Final = "/admin"
THREADS: Final = 2
_READS: Final = ("GET", "HEAD")
_PASSED_ON: Final = (b"host", b"accept")
_NOTHING: Final = (
    "This is no table: what was asked is refused, was not answered in time, or has neither header nor rows. Ask for"
    " .json instead of .csv to see which."
)
_HOW: Final = (
    "Browsing the database needs the extra `admin`. Install it with: pip install 'exlab-wizard[admin]', and start the"
    " application again."
)


def is_installed() -> bool:
    """Return whether there is what the database is browsed with."""
    return find_spec("datasette") is not None


class _Answer:
    """Sends an answer, a `held` one once it has content: as CSV, Datasette says 200 and nothing when it refuses."""

    def __init__(self, send: Send, *, held: bool) -> None:
        self._send = send
        self._held = held
        self._start: Message | None = None

    @property
    def is_empty(self) -> bool:
        """Whether an answer was begun and had no content; then nothing of it was sent."""
        return self._start is not None

    async def __call__(self, message: Message) -> None:
        """Take one message of the answer."""
        if message["type"] == "http.response.start" and self._held and message["status"] == HTTPStatus.OK:
            self._start = message
            return
        if self._start is not None:
            if not message.get("body", b"").strip():
                return
            await self._send(self._start)
            self._start = None
        await self._send(message)


class Browsing:
    """The ASGI application below `/admin`."""

    def __init__(self, database: Path, loading: Lane) -> None:
        """Browse `database`; what is needed for it is loaded in `loading` when it is first asked for."""
        self._readers = Readers(database)
        self._lane = Lane("admin", THREADS, self._readers)
        self._database = database
        self._loading = loading
        self._turn = asyncio.Lock()
        self._browser: Browser | None = None

    def join(self, app: FastAPI) -> None:
        """Become the part of `app` that stands below `/admin`."""
        app.add_route(PREFIX, self.first, include_in_schema=False)
        app.mount(PREFIX, self)

    async def first(self, _request: Request) -> Response:
        """Lead to the first page."""
        return RedirectResponse(f"{PREFIX}/", 303)

    def close(self) -> None:
        """End what is being asked, and the threads; requests that wait are refused."""
        self._readers.close()
        self._lane.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            ApiError: it is none that only reads, none of our pages, or the extra is not installed.
        """
        if scope["method"] not in _READS:
            refused = ApiError(Code.METHOD_NOT_ALLOWED, "Nothing can be changed here.")
            refused.headers = {"Allow": ", ".join(_READS)}
            raise refused
        path = str(scope["path"]).removeprefix(PREFIX)
        browser = await self._loaded()
        if not browser.has(path):
            raise ApiError(Code.NOT_FOUND, f"There is nothing at this path. The first page is {PREFIX}/.")
        answer = _Answer(partial(_send, send, browser.policy), held=path.endswith(".csv"))
        await browser.app(_inner(scope, path), receive, answer)
        if answer.is_empty:
            raise ApiError(Code.BAD_REQUEST, _NOTHING)

    async def _loaded(self) -> Browser:
        async with self._turn:
            if self._browser is None:
                self._browser = await self._loading.run(self._load)
        return self._browser

    def _load(self) -> Browser:
        try:
            from exlab_wizard.server.admin.datasette import Browser  # noqa: PLC0415 - an extra, and slow to load
        except ImportError as error:
            raise ApiError(Code.NOT_FOUND, _HOW) from error
        return Browser(self._database, self._readers, self._lane, f"{PREFIX}/")


def _inner(scope: Scope, path: str) -> dict[str, object]:
    """Return the request as one to an application at the root, without what lets its sender in."""
    raw = scope.get("raw_path") or path.encode()
    headers = [(name, value) for name, value in scope["headers"] if name in _PASSED_ON]
    return {**scope, "path": path, "raw_path": raw.removeprefix(PREFIX.encode()), "root_path": "", "headers": headers}


async def _send(send: Send, policy: str, message: Message) -> None:
    if message["type"] == "http.response.start":
        told = [(name.lower(), value) for name, value in message["headers"]]
        headers = MutableHeaders(raw=[(name, value) for name, value in told if name != b"set-cookie"])
        # It redirects as one that stands at the root.
        where = headers.get("location", "")
        if where.startswith("/") and not where.startswith(f"{PREFIX}/"):
            headers["location"] = PREFIX + where
        headers["Content-Security-Policy"] = policy
        headers["Cache-Control"] = "no-store"
        message = {**message, "headers": headers.raw}
    await send(message)

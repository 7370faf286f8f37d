"""How a browser logs in: a one-time code in a URL, exchanged for a cookie that no script can read.

The token is never part of a URL. A code works once, for 30 seconds; cookies are valid until the application ends.
Other accounts may read the URL in the command line of a browser that is started with it; access control refuses them.
"""

from __future__ import annotations

import secrets
import threading
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Query
from starlette.responses import RedirectResponse

from exlab_wizard.domain.clock import Clock
from exlab_wizard.process.window_request import LONGEST_PAGE, PAGE
from exlab_wizard.server.api.models import LoginLink
from exlab_wizard.server.errors import ApiError, Code, refusals

CODE_SECONDS: Final = 30.0
MOST_CODES: Final = 16
MOST_COOKIES: Final = 64
COOKIE: Final = "exlab_wizard"
FORGET: Final = {"Clear-Site-Data": '"cache", "storage"'}
"""Lets a browser drop all that another server, which had this port before, may have left in it."""


class Logins:
    """The codes and cookies of one launch. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._codes: dict[str, float] = {}
        self._cookies: list[bytes] = []

    def path_to(self, page: str) -> str:
        """Return the path that logs a browser in, once and within 30 seconds, and leads to `page`."""
        code = secrets.token_urlsafe(32)
        with self._lock:
            self._codes[code] = self._clock.monotonic() + CODE_SECONDS
            while len(self._codes) > MOST_CODES:
                del self._codes[next(iter(self._codes))]
        where = "" if page == "/" else f"&page={quote(page, safe='/')}"
        return f"/login?code={code}{where}"

    def redeem(self, code: str) -> str | None:
        """Return a cookie for `code`; None when the code was used, is too old, or was never issued."""
        with self._lock:
            known = next((one for one in self._codes if secrets.compare_digest(one.encode(), code.encode())), None)
            if known is None or self._codes.pop(known) < self._clock.monotonic():
                return None
        return self.new_cookie()

    def new_cookie(self) -> str:
        """Return a cookie for a browser that has proved itself."""
        cookie = secrets.token_urlsafe(32)
        with self._lock:
            self._cookies = [*self._cookies, cookie.encode()][-MOST_COOKIES:]
        return cookie

    def accepts(self, cookie: bytes) -> bool:
        """Return whether this launch issued the cookie."""
        return any(secrets.compare_digest(one, cookie) for one in self._cookies)


def login_router(logins: Logins) -> APIRouter:
    """Return `POST /api/v1/login` for programs with the token, and `GET /login` for the browser with a code."""
    router = APIRouter(tags=["login"])

    @router.post("/api/v1/login", status_code=201, responses=refusals())
    async def link() -> LoginLink:
        """Create a link that logs a browser in; it works once, within 30 seconds."""
        return LoginLink(path=logins.path_to("/"), expires_in_s=CODE_SECONDS)

    @router.get("/login", status_code=303, responses=refusals(422), response_class=RedirectResponse)
    async def enter(
        code: Annotated[str, Query(max_length=100)],
        page: Annotated[str, Query(max_length=LONGEST_PAGE, pattern=f"^{PAGE.pattern}$")] = "/",
    ) -> RedirectResponse:
        """Exchange the code for a cookie and go to `page`."""
        cookie = logins.redeem(code)
        if cookie is None:
            raise ApiError(Code.UNAUTHORIZED, "This link has been used, or is older than 30 s. Open the window again.")
        answer = RedirectResponse(f"{page}#opened", 303, FORGET)
        answer.set_cookie(COOKIE, cookie, path="/", httponly=True, samesite="strict")
        return answer

    return router

"""The way in for a browser: a one-time code in a URL, exchanged for a cookie that no script can read.

The token never stands in a URL. A code is valid for 30 seconds and once; cookies are valid until the application ends.
The URL stands in the command line of a browser that is started with it, where other accounts may read it: so a code
lets in only who connects from our own account.
"""

from __future__ import annotations

import logging
import secrets
import threading
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse

from exlab_wizard.domain.clock import Clock
from exlab_wizard.process.window_request import LONGEST_PAGE, PAGE
from exlab_wizard.server.api.models import LoginLink
from exlab_wizard.server.auth.peers import is_ours
from exlab_wizard.server.errors import ApiError, Code, refusals

log = logging.getLogger(__name__)

CODE_SECONDS: Final = 30.0
MOST_CODES: Final = 16
MOST_COOKIES: Final = 64
COOKIE: Final = "exlab_wizard"


class Logins:
    """The codes and cookies of one launch. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        """Begin with none."""
        self._clock = clock
        self._lock = threading.Lock()
        self._codes: dict[str, float] = {}
        self._cookies: list[bytes] = []

    def new_code(self) -> str:
        """Return a code that opens the door once, within 30 seconds."""
        code = secrets.token_urlsafe(32)
        with self._lock:
            self._codes[code] = self._clock.monotonic() + CODE_SECONDS
            while len(self._codes) > MOST_CODES:
                del self._codes[next(iter(self._codes))]
        return code

    def path_to(self, page: str) -> str:
        """Return the path with a fresh code that leads to `page`."""
        where = "" if page == "/" else f"&page={quote(page, safe='/')}"
        return f"/login?code={self.new_code()}{where}"

    def redeem(self, code: str) -> str | None:
        """Return the cookie that `code` is good for; None when it was used, is too old, or never was."""
        with self._lock:
            known = next((held for held in self._codes if secrets.compare_digest(held.encode(), code.encode())), None)
            if known is None or self._codes.pop(known) < self._clock.monotonic():
                return None
            return self._new_cookie()

    def new_cookie(self) -> str:
        """Return a cookie for a browser that has proved itself by other means."""
        with self._lock:
            return self._new_cookie()

    def accepts(self, cookie: bytes) -> bool:
        """Return whether a browser got this cookie here."""
        return any(secrets.compare_digest(held, cookie) for held in self._cookies)

    def _new_cookie(self) -> str:
        cookie = secrets.token_urlsafe(32)
        self._cookies = [*self._cookies, cookie.encode()][-MOST_COOKIES:]
        return cookie


class LoginRoutes:
    """`POST /api/v1/login` for whoever holds the token, `GET /login` for the browser."""

    def __init__(self, logins: Logins) -> None:
        """Build the routers: `api` needs the token, `door` needs the code."""
        self._logins = logins
        self.api = APIRouter(tags=["login"])
        self.api.add_api_route("/login", self.link, methods=["POST"], status_code=201, responses=refusals())
        self.door = APIRouter(tags=["login"])
        self.door.add_api_route(
            "/login",
            self.enter,
            methods=["GET"],
            status_code=303,
            responses=refusals(422),
            response_class=RedirectResponse,
        )

    async def link(self) -> LoginLink:
        """Make a URL that lets a browser in, once, within 30 seconds."""
        return LoginLink(path=self._logins.path_to("/"), expires_in_s=CODE_SECONDS)

    async def enter(
        self,
        request: Request,
        code: Annotated[str, Query(max_length=100)],
        page: Annotated[str, Query(max_length=LONGEST_PAGE, pattern=f"^{PAGE.pattern}$")] = "/",
    ) -> RedirectResponse:
        """Exchange the code for a cookie and go to `page`."""
        server = request.scope["server"]
        if request.client is None or not is_ours(request.client.port, server[1]):
            log.warning("somebody under another account tried a login link; it was not let in")
            raise ApiError(Code.UNAUTHORIZED, "This link lets in the account that the application runs under only.")
        cookie = self._logins.redeem(code)
        if cookie is None:
            raise ApiError(
                Code.UNAUTHORIZED, "This link was used before, or is older than 30 s. Open the window again."
            )
        answer = RedirectResponse(f"{page}#opened", 303)
        answer.set_cookie(COOKIE, cookie, path="/", httponly=True, samesite="strict")
        return answer

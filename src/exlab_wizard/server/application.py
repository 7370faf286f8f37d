"""Puts the HTTP application together: routes by noun, behind the door. No globals; built once for each server."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from exlab_wizard import __version__
from exlab_wizard.errors import StoreError
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.drain import DrainRoutes
from exlab_wizard.server.errors import ApiError, Code, as_api_error, refusal, trace_id_of
from exlab_wizard.server.events import EventRoutes
from exlab_wizard.server.feed import Feed
from exlab_wizard.server.health import HealthRoutes
from exlab_wizard.server.jobs import JobRoutes
from exlab_wizard.server.lanes import Lanes
from exlab_wizard.server.login import LoginRoutes, Logins
from exlab_wizard.server.metrics import MetricsRoutes
from exlab_wizard.server.pause import PauseRoutes
from exlab_wizard.server.runs import RunCheck
from exlab_wizard.server.security import Door
from exlab_wizard.server.sessions import SessionRoutes
from exlab_wizard.server.status import StatusRoutes

PREFIX: Final = "/api/v1"
_DESCRIPTION: Final = (
    "Sessions, sync jobs, the drain and the quit of the running application, for its owner on this machine."
    " Send the token of `server.json` as `Authorization: Bearer TOKEN`."
)


class HttpApplication:
    """The ASGI application of one server, and what it must close."""

    def __init__(self, backend: Backend, *, port: int, token: str) -> None:
        """Build it for the server at `port`, for whoever holds `token`."""
        self._lanes = Lanes(backend.store.database)
        self._feed = Feed(backend, self._lanes.reads)
        logins = Logins(backend.clock)
        routes = build(backend, self._lanes, self._feed, logins, token)
        self._door = Door(routes, port=port, token=token, logins=logins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._door(scope, receive, send)

    def malformed(self) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """Return body and headers of the answer, status 400, to what is not HTTP."""
        return self._door.malformed()

    def close(self) -> None:
        """End event streams and threads; requests that are being answered are answered. For the event loop's thread."""
        self._feed.close()
        self._lanes.close()


def build(backend: Backend, lanes: Lanes, feed: Feed, logins: Logins, token: str) -> FastAPI:
    """Return the application behind the door: every route, and refusals in the one form."""
    app = FastAPI(
        title="exlab-wizard",
        version=__version__,
        description=_DESCRIPTION,
        # The documentation page would load scripts from elsewhere; docs/api.md is the one for people.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False},
    )
    for kind in (ApiError, HTTPException, RequestValidationError, StoreError):
        app.add_exception_handler(kind, _refuse)
    login, runs = LoginRoutes(logins), RunCheck(backend, lanes.paths)
    for router in (
        SessionRoutes(backend, lanes, runs).router,
        JobRoutes(backend, lanes, runs).router,
        DrainRoutes(backend, lanes).router,
        EventRoutes(backend, feed).router,
        HealthRoutes(backend, lanes, token).router,
        StatusRoutes(backend, lanes).router,
        PauseRoutes(backend, lanes).router,
        MetricsRoutes(backend, lanes).router,
        login.api,
    ):
        app.include_router(router, prefix=PREFIX)
    app.include_router(login.door)
    return app


async def _refuse(request: Request, error: Exception) -> Response:
    if isinstance(error, StoreError):
        error = ApiError(Code.DATABASE_UNAVAILABLE, f"{error}")
    return refusal(as_api_error(error), trace_id_of(request))

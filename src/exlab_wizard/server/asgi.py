"""Assembles the HTTP application: routes by noun, behind access control. No globals; built once for each server."""

from __future__ import annotations

import contextlib
import re
import threading
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from exlab_wizard import __version__
from exlab_wizard.errors import StoreError
from exlab_wizard.server.admin.routes import Browsing
from exlab_wizard.server.api.drain import DrainRoutes
from exlab_wizard.server.api.health import HealthRoutes
from exlab_wizard.server.api.jobs import JobRoutes
from exlab_wizard.server.api.metrics import MetricsRoutes
from exlab_wizard.server.api.sessions import SessionRoutes
from exlab_wizard.server.api.window import window_router
from exlab_wizard.server.auth.access_control import AccessControl
from exlab_wizard.server.auth.login import Logins, login_router
from exlab_wizard.server.auth.reconnect import PageKeys, reconnect_router
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import ApiError, Code, as_api_error
from exlab_wizard.server.events.feed import Feed
from exlab_wizard.server.events.routes import event_router
from exlab_wizard.server.page.add import AddRoutes
from exlab_wizard.server.page.history import HistoryRoutes
from exlab_wizard.server.page.routes import PageRoutes
from exlab_wizard.server.page.run import RunRoutes
from exlab_wizard.server.page.settings.pages import SettingsRoutes
from exlab_wizard.server.page.views import Views
from exlab_wizard.server.thread_pools import ThreadPools

PREFIX: Final = "/api/v1"
WARM_SECONDS: Final = 0.3
# Clients are generated from the schema, so the names of operations stay when those of the methods change.
_OPERATIONS: Final = {"read": "look", "status": "look", "quit": "ask"}
_DESCRIPTION: Final = (
    "Sessions, sync jobs, the drain and the quit of the running application, for its owner on this machine."
    " Send the token of `server.json` as `Authorization: Bearer TOKEN`."
)


class HttpApplication:
    """The ASGI application of the server at `port`, for clients with `token`; `page_secret` makes the keys of pages.

    `login_path`, `malformed` and `farewell` are those of its logins, its access control and its feed.
    """

    def __init__(self, backend: Backend, *, port: int, token: str, page_secret: str) -> None:
        self._pools = ThreadPools(backend.store.database)
        self._feed = Feed(backend, self._pools.reads)
        logins = Logins(backend.clock)
        keys = PageKeys(page_secret, backend.clock)
        views = Views(backend, self._pools, keys)
        routes = build(backend, self._pools, self._feed, logins, token, views)
        routes.include_router(reconnect_router(keys, logins, backend.launch_id))
        self._browsing = Browsing(backend.store.database.path, self._pools.reads)
        self._browsing.join(routes)
        # After the first answers, which are for programs; the browser of a window takes longer to start.
        self._warming = threading.Timer(WARM_SECONDS, self._warm, (views,))
        self._warming.name = "templates"
        self._warming.daemon = True
        self._access_control = AccessControl(
            routes, views.refusal, port=port, token=token, logins=logins, admitted=backend.admitted
        )
        self.login_path, self.malformed = logins.path_to, self._access_control.malformed
        self.farewell = self._feed.farewell
        with contextlib.suppress(RuntimeError):  # without a thread the first page takes longer
            self._warming.start()

    def _warm(self, views: Views) -> None:
        # Without memory or files the first page takes longer, or reports it.
        with contextlib.suppress(OSError, MemoryError, ImportError):
            views.warm(self._warming.finished)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._access_control(scope, receive, send)

    def close(self) -> None:
        """End event streams and threads, after the present requests. Call it in the event loop's thread."""
        self._warming.cancel()
        self._feed.close()
        self._browsing.close()
        self._pools.close()


def build(  # noqa: PLR0913, PLR0917 - the parts of a server, put together in one place
    backend: Backend, pools: ThreadPools, feed: Feed, logins: Logins, token: str, views: Views
) -> FastAPI:
    """Return the application without access control: all routes, and errors in one form."""
    app = FastAPI(
        title="exlab-wizard",
        version=__version__,
        description=_DESCRIPTION,
        # The documentation page would load scripts from elsewhere; docs/api.md is the one for people.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        telemetry={"tracing": False, "metrics": False},
    )

    async def refuse(request: Request, error: Exception) -> Response:
        if isinstance(error, StoreError):
            error = ApiError(Code.DATABASE_UNAVAILABLE, f"{error}")
        return views.refusal(request.scope, as_api_error(error), request.state.trace_id)

    for kind in (ApiError, HTTPException, RequestValidationError, StoreError, Exception):
        app.add_exception_handler(kind, refuse)
    drain, jobs = DrainRoutes(backend, pools), JobRoutes(backend, pools)
    for router in (
        SessionRoutes(backend, pools).router,
        jobs.router,
        drain.router,
        event_router(backend.presence, feed),
        HealthRoutes(backend, pools, token).router,
        MetricsRoutes(backend, pools).router,
        window_router(backend.window, backend.presence, pools.windows),
    ):
        app.include_router(router, prefix=PREFIX)
    app.include_router(login_router(logins))
    for page in (
        PageRoutes(views, backend, drain),
        HistoryRoutes(views, backend),
        RunRoutes(views, backend, pools, jobs),
        AddRoutes(views, backend, pools.folders, jobs),
        SettingsRoutes(views, backend, pools),
    ):
        app.include_router(page.router)
    return app


def _operation_id(route: APIRoute) -> str:
    name = _OPERATIONS.get(route.name, route.name)
    return re.sub(r"\W", "_", f"{name}{route.path_format}_{min(route.methods or ()).lower()}")

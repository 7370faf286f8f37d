"""The window over HTTP: pages report whether they have the focus, commands open the window."""

from __future__ import annotations

from fastapi import APIRouter

from exlab_wizard.process.window_request import NoWindowError
from exlab_wizard.server.api.models import OpenWindow, WindowFocus, WindowShown, WindowView
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import ApiError, Code, refusals
from exlab_wizard.server.thread_pools import ThreadPool


class WindowRoutes:
    """`/api/v1/window` and `/api/v1/window/open`."""

    def __init__(self, backend: Backend, pool: ThreadPool) -> None:
        self._backend = backend
        self._pool = pool
        self.router = APIRouter(tags=["window"])
        self.router.add_api_route("/window", self.read, methods=["GET"])
        self.router.add_api_route("/window", self.focus, methods=["POST"], responses=refusals(422))
        self.router.add_api_route("/window/open", self.open, methods=["POST"], responses=refusals(409, 422, 503))

    async def read(self) -> WindowView:
        """Show whether the window is open, and whether it has the focus."""
        return WindowView(open=self._backend.window.alive, focused=self._backend.presence.focused)

    async def focus(self, body: WindowFocus) -> WindowFocus:
        """Report whether the page has the focus: then no notification repeats what it shows."""
        self._backend.presence.focus(focused=body.focused)
        return body

    async def open(self, body: OpenWindow | None = None) -> WindowShown:
        """Open the window, or bring it to the front; answers when it is done, within seconds."""
        page = "/" if body is None else body.page
        try:
            shown = await self._pool.run(lambda: self._backend.window.show(page))
        except NoWindowError as error:
            raise ApiError(Code.NO_WINDOW, str(error)) from error
        return WindowShown(how=shown.how, by=shown.by)

"""The window over HTTP: pages report whether they have the focus, commands open the window."""

from __future__ import annotations

from fastapi import APIRouter

from exlab_wizard.process.presence import Presence
from exlab_wizard.process.window_request import NoWindowError, WindowShown
from exlab_wizard.server.api.models import OpenWindow, WindowFocus, WindowView
from exlab_wizard.server.backend import WindowControl
from exlab_wizard.server.errors import ApiError, Code, refusals
from exlab_wizard.server.thread_pools import ThreadPool


def window_router(window: WindowControl, presence: Presence, pool: ThreadPool) -> APIRouter:
    """Return `/window` and `/window/open`, which opens the window in `pool`."""
    router = APIRouter(tags=["window"])

    @router.get("/window")
    async def read() -> WindowView:
        """Show whether the window is open, and whether it has the focus."""
        return WindowView(open=window.alive, focused=presence.focused)

    @router.post("/window", responses=refusals(422))
    async def focus(body: WindowFocus) -> WindowFocus:
        """Report whether the page has the focus: then no notification repeats what it shows."""
        presence.focus(focused=body.focused)
        return body

    @router.post("/window/open", name="open", responses=refusals(409, 422, 503))
    async def show(body: OpenWindow | None = None) -> WindowShown:
        """Open the window, or bring it to the front; answers when it is done, within seconds."""
        page = "/" if body is None else body.page
        try:
            return await pool.run(lambda: window.show(page))
        except NoWindowError as error:
            raise ApiError(Code.NO_WINDOW, str(error)) from error

    return router

"""The first page, the quit page, and their buttons, which use the same code as the API."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request
from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from exlab_wizard.domain.quit import QuitTrigger
from exlab_wizard.server.api.drain import DrainRoutes
from exlab_wizard.server.api.models import AnswerQuit
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import ApiError, Code
from exlab_wizard.server.page.forms import SEE_OTHER, done, form_of
from exlab_wizard.server.page.now import Rates, read_now
from exlab_wizard.server.page.views import STATIC, THEME, THEMES, Views

YEAR_SECONDS: Final = 365 * 86_400
MOST_LAUNCHES: Final = 100


class PageRoutes:
    """`/`, `/quit`, `/live`, and the files of the page."""

    def __init__(self, views: Views, backend: Backend, drain: DrainRoutes) -> None:
        self._views = views
        self._backend = backend
        self._rates = Rates()
        self._drain = drain
        # Pages are for people: the schema and docs/api.md describe only what programs may rely on.
        self.router = APIRouter(include_in_schema=False)
        get, post = ["GET", "HEAD"], ["POST"]
        self.router.add_api_route("/", self.now, methods=get)
        self.router.add_api_route("/quit", self.quit, methods=get)
        self.router.add_api_route("/launches", self.launches, methods=get)
        self.router.add_api_route("/live", self.live, methods=get)
        self.router.add_api_route(f"{STATIC}{{name}}", self.asset, methods=get)
        self.router.add_api_route("/favicon.ico", self.favicon, methods=get)
        self.router.add_api_route("/quit", self.begin_quit, methods=post)
        self.router.add_api_route("/quit/answer", self.answer_quit, methods=post)
        self.router.add_api_route("/pause", self.pause, methods=post)
        self.router.add_api_route("/resume", self.resume, methods=post)
        self.router.add_api_route("/seen", self.seen, methods=post)
        self.router.add_api_route("/theme", self.theme, methods=post)

    async def now(self, request: Request) -> Response:
        """Show what is syncing, waiting and failed."""
        return await self._views.show(request, "now.html", lambda: read_now(self._backend, self._rates), follows=True)

    async def quit(self, request: Request) -> Response:
        """Show what a quit waits for, and the button."""
        return await self._views.show(request, "quit.html", follows=True)

    async def launches(self, request: Request) -> Response:
        """Show the last launches of the application, and how each ended."""
        read = self._backend.store.rows.launches
        return await self._views.show(request, "launches.html", lambda: {"launches": read(limit=MOST_LAUNCHES)})

    async def live(self, request: Request) -> Response:
        """Show only the layout, for pages whose main part does not change."""
        return await self._views.show(request, "live.html")

    async def asset(
        self, name: Annotated[str, Path(max_length=100)], v: Annotated[str, Query(max_length=100)] = ""
    ) -> Response:
        """Return a file of the page."""
        return self._views.asset(name, v)

    async def favicon(self) -> Response:
        """Redirect to our icon: the pages below `/admin/` name none, so browsers ask here."""
        return RedirectResponse(f"{STATIC}icon.svg", SEE_OTHER)

    async def begin_quit(self, request: Request) -> Response:
        """Request a quit; with `force`, without waiting."""
        form = await form_of(request)
        await self._drain.request(QuitTrigger.WINDOW, force=form.get("force") == "true")
        return done(request, "/quit")

    async def answer_quit(self, request: Request) -> Response:
        """Answer the quit question."""
        form = await form_of(request)
        try:
            answer = AnswerQuit.model_validate({"answer": form.get("answer")})
        except ValidationError:
            raise ApiError(Code.INVALID, "Answer with force, wait or keep_running.", field="answer") from None
        await self._drain.answer(answer)
        return done(request, form.get("back", "/quit"))

    async def pause(self, request: Request) -> Response:
        """Pause syncing."""
        form = await form_of(request)
        await self._drain.pause()
        return done(request, form.get("back", "/"))

    async def resume(self, request: Request) -> Response:
        """Resume syncing."""
        form = await form_of(request)
        await self._drain.resume()
        return done(request, form.get("back", "/"))

    async def seen(self, request: Request) -> Response:
        """Hide how the last launch ended; the list of launches keeps it."""
        form = await form_of(request)
        self._views.dismiss_last_exit()
        return done(request, form.get("back", "/"))

    async def theme(self, request: Request) -> Response:
        """Remember the light or dark theme in this browser, or follow the system again."""
        form = await form_of(request)
        answer = done(request, form.get("back", "/"))
        if form.get("theme") in THEMES:
            answer.set_cookie(THEME, form["theme"], YEAR_SECONDS, path="/", httponly=True, samesite="strict")
        else:
            answer.delete_cookie(THEME, path="/", httponly=True, samesite="strict")
        return answer

"""Renders pages: templates, what surrounds every page, and how a page is answered.

A page that follows events asks for itself again with the header `X-Exlab-Live` and gets only its moving parts, each an
element with an id that takes the place of the one it has.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from exlab_wizard.server.errors import NOTHING_HERE, ApiError, Code
from exlab_wizard.server.page.assets import Assets
from exlab_wizard.server.page.layout import Surroundings
from exlab_wizard.server.page.words import FILTERS, STATES
from exlab_wizard.server.thread_pools import Lanes

if TYPE_CHECKING:
    from jinja2 import Environment

LIVE: Final = "x-exlab-live"
THEME: Final = "exlab_theme"
THEMES: Final = ("light", "dark")
Values = Mapping[str, object]
_MISSPELT: Final = "Its address is misspelt, or from another version of ExLab-Wizard."
_HOW_TO_OPEN: Final = "Open the window from the icon in the tray, or type: exlab-wizard open"


class Views:
    """What the routes of pages render with."""

    def __init__(self, lanes: Lanes, surroundings: Surroundings) -> None:
        """Render nothing yet: the template engine is loaded with the first page."""
        self._lanes = lanes
        self.surroundings = surroundings
        self.assets = Assets()

    async def show(
        self,
        request: Request,
        template: str,
        read: Callable[[], Values] = dict,
        *,
        status: int = 200,
        follows: bool = False,
    ) -> Response:
        """Return a page; `read` is called in a thread and says what `template` needs.

        With `follows` the page's main part changes with what happens; without, only what surrounds it does.

        Raises:
            StoreError: the database cannot be read.
        """
        live = LIVE in request.headers
        here = request.url.path
        theme = request.cookies.get(THEME)

        def render() -> str:
            return self._environment.get_template(template).render(
                {
                    **self.surroundings.read(),
                    "here": here,
                    "back": f"{here}?{request.url.query}" if request.url.query else here,
                    "live": live,
                    "follows": follows,
                    "theme": theme if theme in THEMES else None,
                    **(read() if follows or not live else {}),
                }
            )

        return self._answer(await self._lanes.reads.run(render), status)

    def refusal(self, error: ApiError, trace_id: str, back: tuple[str, str]) -> Response:
        """Return the page that says what went wrong; it needs neither a login nor the database.

        `back` is the path of the page from which people go on, and the words of the link to it.
        """
        template = self._environment.get_template("error.html")
        lost = error.code is Code.UNAUTHORIZED
        text = template.render(
            status=error.status_code,
            heading="This window is not logged in" if lost else _heading(error.status_code),
            message=_HOW_TO_OPEN if lost else _MISSPELT if error.message == NOTHING_HERE else error.message,
            trace_id=trace_id,
            back=back,
            theme=None,
        )
        return self._answer(text, error.status_code, dict(error.headers or {}))

    def warm(self, unwanted: threading.Event) -> None:
        """Load the template engine and all templates, which is most of what the first page takes, until unwanted."""
        for name in self._environment.list_templates():
            if unwanted.is_set():
                return
            self._environment.get_template(name)

    @cached_property
    def _environment(self) -> Environment:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - with the first page only

        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.filters.update(FILTERS)
        environment.globals["asset"] = self.assets.url
        environment.globals["words"] = STATES
        return environment

    @staticmethod
    def _answer(text: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
        # Bytes of a name that are no text stand as lone surrogates, which UTF-8 cannot carry.
        return HTMLResponse(text.encode("utf-8", "backslashreplace"), status, headers=headers)


def _heading(status: int) -> str:
    if status == 404:  # noqa: PLR2004 - as in HTTP
        return "There is no such page"
    return "That did not work" if status < 500 else "Something is wrong"  # noqa: PLR2004 - the classes of HTTP

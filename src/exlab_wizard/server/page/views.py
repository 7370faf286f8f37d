"""Renders pages: templates, the values of the layout around every page, and the page for an error.

A page that follows events requests itself again with the header `X-Exlab-Live` and gets only its moving parts, each an
element with an id that replaces the present one.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

from exlab_wizard import __version__
from exlab_wizard.domain.text.jobs import STATES
from exlab_wizard.paths import printable
from exlab_wizard.server.api.drain import drain_view
from exlab_wizard.server.auth.reconnect import PageKeys
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import NOTHING_HERE, ApiError, Code, refusal
from exlab_wizard.server.page.forms import LIVE
from exlab_wizard.server.page.words import FILTERS
from exlab_wizard.server.thread_pools import ThreadPools

if TYPE_CHECKING:
    from jinja2 import Environment

STATIC: Final = "/static/"
THEME: Final = "exlab_theme"
THEMES: Final = ("light", "dark")
Values = Mapping[str, object]
_TYPES: Final = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_MISSPELT: Final = "The address is misspelled, or belongs to another version of ExLab-Wizard."
_HOW_TO_OPEN: Final = "Open the window from the tray icon, or run: exlab-wizard open"
_PROGRAMS: Final = "/api/"
_FIRST_PAGE: Final = ("/", "Go to the first page")
# Forms are sent to addresses that have no page.
_FORMS: Final = (
    (re.compile(r"(/runs/[0-9]{1,19})/[a-z]+"), "Back to the run"),
    (re.compile(r"(/settings)/.+"), "Back to the settings"),
    (re.compile(r"(/quit)(?:/answer)?"), "Back to Quit"),
    (re.compile(r"(/add)"), "Back to Add a run"),
)


class Views:
    """Renders the pages for their routes; the template engine is loaded with the first one."""

    def __init__(self, backend: Backend, pools: ThreadPools, keys: PageKeys) -> None:
        self._backend = backend
        self._pools = pools
        self._keys = keys
        self._newest_event = backend.progress.event
        self._last_exit_dismissed = False
        files = {file.name: file.read_bytes() for file in (Path(__file__).parent / "static").iterdir()}
        self._assets = files
        self._version = secrets.token_hex(8)

    async def show(
        self,
        request: Request,
        template: str,
        read: Callable[[], Values] = dict,
        *,
        status: int = 200,
        follows: bool = False,
    ) -> Response:
        """Return a page; `read` runs in a thread and returns the values of `template`.

        With `follows` the main part of the page follows events; without, only the layout does.

        Raises:
            StoreError: the database cannot be read.
        """
        live = LIVE in request.headers
        here = request.url.path
        theme = request.cookies.get(THEME)

        def render() -> str:
            return self._environment.get_template(template).render(
                {
                    **self._layout(),
                    "here": here,
                    "back": f"{here}?{request.url.query}" if request.url.query else here,
                    "live": live,
                    "follows": follows,
                    "theme": theme if theme in THEMES else None,
                    **(read() if follows or not live else {}),
                }
            )

        return self._answer(await self._pools.reads.run(render), status)

    def asset(self, name: str, version: str) -> Response:
        """Return a static file, as it was at launch; cacheable if `version` is that of this launch.

        Raises:
            ApiError: there is no such file.
        """
        if name not in self._assets:
            raise ApiError(Code.NOT_FOUND, "There is no such file.")
        kept = "private, max-age=31536000, immutable" if version == self._version else "no-store"
        return Response(self._assets[name], media_type=_TYPES[Path(name).suffix], headers={"Cache-Control": kept})

    def _asset_url(self, name: str) -> str:
        """Return the URL of a static file: new with each launch, so that no server before this one could answer it."""
        return f"{STATIC}{name}?v={self._version}"

    def _integrity(self, name: str) -> str:
        return f"sha256-{base64.b64encode(hashlib.sha256(self._assets[name]).digest()).decode()}"

    def dismiss_last_exit(self) -> None:
        """Show no longer how the last launch ended, until the next launch."""
        self._last_exit_dismissed = True

    def _layout(self) -> Values:
        backend = self._backend
        launch, last_exit = backend.store.launches.open_launch(), backend.store.status.last_exit
        return {
            "version": __version__,
            "launch_id": backend.launch_id,
            "page_key": self._keys.page_key(),
            "last_exit": None if self._last_exit_dismissed else last_exit(backend.launch_id, self._newest_event),
            "drain": drain_view(backend),
            "paused_since": None if launch is None else launch.paused_since,
            "safe_mode": backend.safe_mode.active,
            "counts": backend.store.status.counts(),
        }

    def refusal(self, scope: Scope, error: ApiError, trace_id: str) -> Response:
        """Return the answer to a refused request: a page for a person, the envelope for a program.

        The page needs neither a login nor the database.
        """
        if not _is_navigation(scope):
            return refusal(error, trace_id)
        template = self._environment.get_template("error.html")
        lost = error.code is Code.UNAUTHORIZED
        text = template.render(
            status=error.status_code,
            heading="This window is not logged in" if lost else _heading(error.status_code),
            message=_HOW_TO_OPEN if lost else _MISSPELT if error.message == NOTHING_HERE else error.message,
            trace_id=trace_id,
            back=_way_back(scope, error.status_code),
            theme=None,
        )
        return self._answer(text, error.status_code, dict(error.headers or {}))

    def warm(self, unwanted: threading.Event) -> None:
        """Load the template engine and all templates until unwanted; most of the time of the first page goes there."""
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
        environment.globals["asset"] = self._asset_url
        environment.globals["integrity"] = self._integrity
        environment.globals["words"] = STATES
        return environment

    @staticmethod
    def _answer(text: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
        # Bytes of a name that are not UTF-8 are lone surrogates here.
        return HTMLResponse(printable(text), status, headers=headers)


def _heading(status: int) -> str:
    if status == 404:  # noqa: PLR2004 - as in HTTP
        return "There is no such page"
    return "The request failed" if status < 500 else "Something went wrong"  # noqa: PLR2004 - the classes of HTTP


def _is_navigation(scope: Scope) -> bool:
    """Return whether a browser loads this address as a page, for a person to read."""
    if str(scope["path"]).startswith(_PROGRAMS):
        return False
    headers = Headers(scope=scope)
    mode = headers.get("sec-fetch-mode")
    return mode == "navigate" if mode is not None else "text/html" in headers.get("accept", "")


def _way_back(scope: Scope, status: int) -> tuple[str, str]:
    """Return the path of the page whose form was refused with `status`, and the text of the link to it."""
    if scope["method"] == "POST" and status != 404:  # noqa: PLR2004 - as in HTTP
        for form, words in _FORMS:
            if found := form.fullmatch(str(scope["path"])):
                return found[1], words
    return _FIRST_PAGE

"""One window of the application, as a person has it: a browser of its own with its own cookies."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import Final, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect
from tests.support.program import PATIENCE_SECONDS, Program

__all__ = ["ARGUMENTS", "CHROMIUM", "Visitor", "expect"]

CHROMIUM: Final = shutil.which("chromium-headless-shell") or "/usr/bin/chromium"
"""The same engine without the windows and menus around it, which cost two thirds of the processor time."""
ARGUMENTS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS: Final = 1000 * PATIENCE_SECONDS
_NO_ANSWER: Final = ("net::ERR_CONNECTION_REFUSED", "net::ERR_INCOMPLETE_CHUNKED_ENCODING", "net::ERR_EMPTY_RESPONSE",
                     "net::ERR_CONNECTION_RESET")  # fmt: skip
expect.set_options(timeout=PATIENCE_MS)


class Visitor:
    """A window; `page` is Playwright's."""

    def __init__(self, context: BrowserContext, port: int) -> None:
        """Watch everything that `context` asks for and says."""
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.base = f"http://127.0.0.1:{port}"
        self.faults: list[str] = []
        self.may_lose_server = False
        context.on("request", self._asked)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.faults.append(f"exception: {error}"))

    @classmethod
    @contextlib.contextmanager
    def of(  # noqa: PLR0913 - what a window may differ in
        cls,
        browser: Browser,
        program: Program,
        path: str = "/",
        *,
        width: int = 1280,
        height: int = 900,
        theme: Literal["light", "dark"] = "light",
        script: bool = True,
        may_fail: bool = False,
    ) -> Iterator[Visitor]:
        """Log in and go to `path`; at the end, fail on whatever the window had to complain of."""
        _, link = program.api("POST", "/login")
        assert isinstance(link, dict)
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,
            java_script_enabled=script,
            reduced_motion="reduce",
        )
        with contextlib.closing(context):
            visitor = cls(context, program.port())
            visitor.page.goto(f"{visitor.base}{link['path']}")
            if path != "/":
                visitor.go(path)
            yield visitor
            assert may_fail or visitor.faults == []

    def go(self, path: str) -> None:
        """Go to another page."""
        self.page.goto(f"{self.base}{path}")

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and f"{parts.scheme}://{parts.netloc}" != self.base:
            self.faults.append(f"asked {request.url}")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not (
            self.may_lose_server and any(word in message.text for word in _NO_ANSWER)
        ):
            self.faults.append(f"{message.type}: {message.text}")

"""A real Chromium at the real application: for every test of the page.

Each visitor fails its test on an error in the console, an exception in the script, and a request to another host.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright
from tests.integration.page.visitor import ARGUMENTS, CHROMIUM, Visitor
from tests.support.program import Program


# Not for the session: while it runs, its event loop is the one of this thread, and other tests want their own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of a module."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


Visit = Callable[..., Visitor]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Open a window of a running program: `visit(program, path="/", width=1280, theme="light", script=True)`."""
    with contextlib.ExitStack() as open_windows:

        def visit(program: Program, path: str = "/", **more: object) -> Visitor:
            return open_windows.enter_context(Visitor.of(browser, program, path, **more))  # type: ignore[arg-type]  # each has its type there

        yield visit

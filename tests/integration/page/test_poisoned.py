"""Another program had our port before, and left in the browser what it could: the operator's page is ours."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from tests.integration.page.visitor import PATIENCE_MS, expect
from tests.support.program import Program, until

pytestmark = pytest.mark.slow

PAGE = """<!doctype html><title>hostile</title><h1>hostile</h1><script>
navigator.serviceWorker.register("/worker.js", {scope: "/"});
for (const path of ["/", "/static/page.js", "/static/page.css"]) fetch(path, {cache: "reload"});
</script>"""
WORKER = """
addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  if (ALL || new URL(event.request.url).pathname !== "/login")
    event.respondWith(new Response("<title>hostile</title><h1>hostile</h1>", {headers: {"Content-Type": "text/html"}}));
});
"""
WORKERS = "navigator.serviceWorker.getRegistrations().then((all) => all.length)"


class Hostile(BaseHTTPRequestHandler):
    worker = ""
    timeout = 0.2  # browsers connect ahead of time; nothing of this server is left when it is closed

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        kind, text = {
            "/worker.js": ("text/javascript", self.worker),
            "/static/page.js": ("text/javascript", "document.title = 'hostile'"),
        }.get(path, ("text/html", PAGE))
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "public, max-age=31536000, immutable")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False  # closing it waits for its connections


@contextmanager
def hostile(port: int, worker: str) -> Iterator[None]:
    server = Server(("127.0.0.1", port), type("Hostile", (Hostile,), {"worker": worker}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def poisoned(program: Program, context: BrowserContext, worker: str) -> Page:
    """Let the browser visit another server at our port, then start the application there."""
    program.start()
    port = program.port()
    assert program.call("quit").returncode == 0
    assert program.wait() == 0
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    with hostile(port, worker):
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_function("navigator.serviceWorker.controller !== null")
        page.goto(f"http://127.0.0.1:{port}/static/page.css")
    program.start()
    assert program.port() == port
    return page


def login_link(program: Program) -> str:
    _, link = program.api("POST", "/login")
    assert isinstance(link, dict)
    return f"http://127.0.0.1:{program.port()}{link['path']}"


def test_a_login_drops_worker_and_cache_of_the_server_before(program: Program, browser: Browser) -> None:
    with closing(browser.new_context()) as context:
        page = poisoned(program, context, WORKER.replace("ALL", "false"))
        page.goto(login_link(program))
        expect(page.get_by_role("heading", name="All done")).to_be_visible()
        expect(page.locator("html[data-script=on]")).to_be_attached()
        assert page.evaluate(WORKERS) == 0


def test_a_worker_that_answers_even_the_login_is_dropped_with_its_next_update(
    program: Program, browser: Browser
) -> None:
    with closing(browser.new_context()) as context:
        page = poisoned(program, context, WORKER.replace("ALL", "true"))
        page.goto(login_link(program))
        # The worker answers, and then the browser checks for a newer one; it may have done so since the worker began.
        assert page.title() == "hostile" or "/worker.js" in program.log()
        until(lambda: "/worker.js" in program.log(), what="the check for a newer worker")
        until(lambda: page.evaluate(WORKERS) == 0, what="the worker to be dropped")
        page.goto(login_link(program))
        expect(page.get_by_role("heading", name="All done")).to_be_visible()

"""A page outlives the application: it says so, finds the next launch, and lets nobody else find anything."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from tests.integration.page.conftest import Visit
from tests.integration.page.visitor import expect
from tests.support.program import MIB, Program, until, write_run

pytestmark = pytest.mark.slow


def test_killed_and_relaunched_the_page_says_both_and_what_was_resumed(program: Program, visit: Visit) -> None:
    program.configure(bandwidth_mib_s=1)
    program.start()
    program.enqueue(write_run(program.home / "runs" / "run-1", {"a.raw": 48 * MIB}))
    port = program.port()
    visitor = visit(program)
    page = visitor.page
    visitor.may_lose_server = True
    expect(page.get_by_role("progressbar")).to_be_visible()
    until(lambda: program.number("SELECT bytes_done FROM sync_jobs") > 4 * MIB, what="a part of the run")
    program.kill()
    expect(page.get_by_role("heading", name="Connection lost")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("Syncing 1 run")
    program.start()
    banner = page.get_by_role("region", name="Last time ExLab-Wizard ended unexpectedly")
    expect(banner).to_contain_text("1 run was interrupted and resumes automatically.")
    expect(banner).to_contain_text("MiB do not have to be sent again")
    expect(banner).to_contain_text("run-1")
    assert program.port() == port
    expect(page.get_by_role("heading", name="Connection lost")).to_be_hidden()
    program.configure()  # the copy ends now, however slow the machine is
    expect(banner).to_contain_text("run-1: verified")
    kept = program.number("SELECT bytes_resumed FROM sync_jobs") / MIB
    expect(banner).to_contain_text(f"{kept:.1f} MiB do not have")
    page.get_by_role("button", name="Dismiss").click()
    expect(banner).to_be_hidden()
    other = visit(program)
    expect(other.page.get_by_role("heading", name="All done")).to_be_visible()
    expect(other.page.locator("#last-exit")).to_be_hidden()
    other.go("/launches")
    expect(other.page.get_by_role("main")).to_contain_text("Ended unexpectedly.")


def test_quit_and_started_again_the_page_comes_back(program: Program, visit: Visit) -> None:
    program.start()
    visitor = visit(program)
    visitor.may_lose_server = True
    expect(visitor.page.locator("html[data-script=on]")).to_be_attached()
    assert program.call("quit").returncode == 0
    assert program.wait() == 0
    expect(visitor.page.get_by_role("heading", name="ExLab-Wizard has quit.")).to_be_visible()
    program.start()
    expect(visitor.page.get_by_role("heading", name="All done")).to_be_visible()
    expect(visitor.page.locator("#last-exit")).to_be_hidden()


class Impostor(BaseHTTPRequestHandler):
    """What another account could run at a port that has become free: it takes everything and passes it on."""

    heard: list[tuple[str, str, str]]
    forward_to: int

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.heard.append((self.path, self.headers.get("Cookie", ""), body.decode()))
        with socket.create_connection(("127.0.0.1", self.forward_to)) as real:
            head = (
                f"POST {self.path} HTTP/1.0\r\nHost: 127.0.0.1:{self.forward_to}\r\nContent-Type: application/json\r\n"
            )
            real.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = b"".join(iter(lambda: real.recv(65536), b""))
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        pass


@contextmanager
def impostor(port: int, forward_to: int) -> Iterator[list[tuple[str, str, str]]]:
    heard: list[tuple[str, str, str]] = []
    kind = type("Impostor", (Impostor,), {"heard": heard, "forward_to": forward_to})
    server = HTTPServer(("127.0.0.1", port), kind)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_whoever_takes_the_port_in_between_gets_nothing_by_passing_on_what_the_page_says(
    program: Program, visit: Visit
) -> None:
    program.start()
    visitor = visit(program)
    visitor.may_lose_server = True
    expect(visitor.page.locator("html[data-script=on]")).to_be_attached()
    port = program.port()
    program.kill()
    expect(visitor.page.get_by_role("heading", name="Connection lost")).to_be_visible()
    with socket.socket() as watchdog:  # so that the next launch finds the port taken
        watchdog.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        watchdog.bind(("127.0.0.1", port))
        watchdog.listen()
        program.start()
        elsewhere = program.port()
        assert elsewhere != port
    with impostor(port, elsewhere) as heard:
        until(lambda: len([path for path, _, _ in heard if path == "/reconnect"]) >= 2, what="the page to try twice")
        expect(visitor.page.get_by_role("heading", name="Connection lost")).to_be_visible()
    assert {path for path, _, _ in heard} == {"/reconnect"}, "the proof is for whoever has proved himself"
    assert {cookie for _, cookie, _ in heard} == {""}

"""How long a browser waits for the first view of a page with a million jobs, from a program that runs.

.venv/bin/python -m benchmarks.page         # BENCH_TMP=/some/disk says where, BENCH_JOBS how many
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, sync_playwright

from benchmarks.application import Application, configure, wait_until
from benchmarks.history import JOBS, prepare

ROUNDS: Final = 5
WANTED_MS: Final = 300
PAGES: Final = ("/", "/history", f"/runs/{JOBS // 2}", "/charts", "/settings")
CHROMIUM: Final = "/usr/bin/chromium"
_PAINTED: Final = "() => performance.getEntriesByName('first-contentful-paint').map((one) => one.startTime)[0] ?? 0"


class Door:
    """The way into the program that runs."""

    def __init__(self, state_dir: Path) -> None:
        """Wait until it answers."""
        wait_until((state_dir / "server.json").exists)
        address = json.loads((state_dir / "server.json").read_text("utf-8"))
        self.base = f"http://127.0.0.1:{address['port']}"
        self._token = address["token"]

    def answer(self, path: str, method: str = "GET") -> bytes:
        """Return the body of an answer, over a connection of its own."""
        headers = {"Authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(f"{self.base}{path}", method=method, headers=headers)  # noqa: S310 - our own address
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - likewise
            return bytes(answer.read())

    def way_in(self) -> str:
        """Return an address that lets one browser in."""
        return f"{self.base}{json.loads(self.answer('/api/v1/login', 'POST'))['path']}"


def milliseconds(act: Callable[[], object]) -> float:
    """Return how long `act` took."""
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1_000


def first_view(browser: Browser, door: Door, path: str) -> float:
    """Return the milliseconds from asking for a page to its first content on the screen, with nothing in a cache."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        page = context.new_page()
        context.request.get(door.way_in(), max_redirects=0)
        page.goto(f"{door.base}{path}")
        page.screenshot()  # waits for a frame
        painted = float(page.evaluate(_PAINTED))
        assert painted > 0, path
        return painted
    finally:
        context.close()


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_TMP")) as folder:
        state_dir = Path(folder)
        prepare(state_dir).close()
        configure(state_dir)
        program = Application(state_dir)
        try:
            door = Door(state_dir)
            print(f"{JOBS:,} jobs; load {os.getloadavg()[0]:.1f}; wanted: below {WANTED_MS} ms")
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
                for path in PAGES:
                    answers = [milliseconds(lambda path=path: door.answer(path)) for _ in range(ROUNDS)]  # type: ignore[misc]  # mypy knows no defaults of lambdas
                    views = [first_view(browser, door, path) for _ in range(ROUNDS)]
                    print(
                        f"  {path:15s} answer: first {answers[0]:6.1f} ms, median {statistics.median(answers):6.1f} ms"
                        f"   first view: median {statistics.median(views):6.1f} ms, longest {max(views):6.1f} ms"
                    )
                browser.close()
        finally:
            program.terminate()
            program.gone()


if __name__ == "__main__":
    main()

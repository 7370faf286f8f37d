"""An hour of a busy laboratory in minutes: thousands of events, and what the page makes of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from playwright.sync_api import CDPSession
from tests.integration.page.visitor import Visitor
from tests.support.program import Program

EVENTS_PER_MINUTE: Final = 5_000
_EACH_SECONDS: Final = 0.25
_OBSERVE: Final = """() => {
  window.longest = 0;
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration);
  }).observe({ type: "longtask" });
}"""


@dataclass(frozen=True, slots=True)
class Weight:
    """What a page weighs after its garbage was collected: bytes of its heap, nodes of its documents, listeners."""

    heap: int
    nodes: int
    listeners: int


class Watched:
    """A page whose weight, requests and longest task are watched."""

    def __init__(self, visitor: Visitor) -> None:
        """Begin to watch."""
        self._page = visitor.page
        self._session: CDPSession = visitor.page.context.new_cdp_session(visitor.page)
        self._session.send("Performance.enable")
        self._page.evaluate(_OBSERVE)
        self.looks = 0
        self._page.on("request", self._asked)

    def _asked(self, request: object) -> None:
        self.looks += "/api/" not in str(request)

    def weight(self) -> Weight:
        """Collect the garbage and weigh."""
        self._session.send("HeapProfiler.collectGarbage")
        found = {one["name"]: int(one["value"]) for one in self._session.send("Performance.getMetrics")["metrics"]}
        return Weight(found["JSHeapUsedSize"], found["Nodes"], found["JSEventListeners"])

    def longest_ms(self) -> float:
        """Return the longest task since the watch began, in milliseconds; those below 50 count as none."""
        return float(self._page.evaluate("window.longest"))

    def wait(self, seconds: float) -> None:
        """Let the page live for so long."""
        self._page.wait_for_timeout(1000 * seconds)  # time: the page's life is what is measured


@contextmanager
def storm(program: Program, per_minute: int = EVENTS_PER_MINUTE) -> Iterator[None]:
    """Queue and cancel runs that do not exist, for `per_minute` events, until the block is left."""
    over = threading.Event()
    jobs = max(1, round(per_minute / 60 * _EACH_SECONDS / 2))

    def blow() -> None:
        number = 0
        while not over.wait(_EACH_SECONDS):  # time: so many events a minute
            rows = ", ".join(
                f"('/nowhere/{number + one}', 'nas', '2100-01-01', '2026-11-24T08:00:00.000Z')" for one in range(jobs)
            )
            number += jobs
            program.query(f"INSERT INTO sync_jobs (run_path, destination, not_before, enqueued_at) VALUES {rows}")
            program.query(
                "UPDATE sync_jobs SET state = 'cancelled' WHERE run_path LIKE '/nowhere/%' AND state = 'queued'"
            )

    thread = threading.Thread(target=blow, name="storm", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()

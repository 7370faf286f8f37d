"""`make page-soak`: the first page under 5,000 events a minute, for ten minutes; does it grow, does it ever hang?

python -m tests.integration.page.soak --minutes 10
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright
from tests.integration.page.storm import Watched, storm
from tests.integration.page.visitor import ARGUMENTS, CHROMIUM, Visitor
from tests.support.program import MIB, Program, write_run

LONGEST_MS = 200.0
MOST_GROWTH = 1.25


def main() -> int:
    """Run it, print a line each minute, and return 1 when the page grew or hung."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as home, Program(Path(home)) as program, sync_playwright() as playwright:
        program.configure(bandwidth_mib_s=1)
        program.start()
        program.enqueue(write_run(Path(home) / "runs" / "run-1", {"a.raw": round(70 * minutes + 60) * MIB}))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        with Visitor.of(browser, program) as visitor:
            visitor.page.locator("#job-1").wait_for()
            watched = Watched(visitor)
            with storm(program):
                watched.wait(20)  # time: the page settles
                first = last = watched.weight()
                for minute in range(1, max(1, round(minutes)) + 1):
                    watched.wait(60 * minutes / max(1, round(minutes)))  # time: a part of the soak's own length
                    last = watched.weight()
                    print(  # noqa: T201 - its result
                        f"minute {minute}: heap {last.heap / MIB:.2f} MiB, {last.nodes} nodes,",
                        f"{last.listeners} listeners,",
                        f"{watched.looks} looks, longest task {watched.longest_ms():.0f} ms",
                        flush=True,
                    )
            longest = watched.longest_ms()
        browser.close()
    well = last.heap < MOST_GROWTH * first.heap and last.nodes < MOST_GROWTH * first.nodes and longest <= LONGEST_MS
    print("well" if well else f"not well: began with {first}, ended with {last}, longest task {longest:.0f} ms")  # noqa: T201 - its result
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())

"""Makes the pictures of the page: every view, light, dark and narrow, of a laboratory in its second month.

make screenshots
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Page, sync_playwright
from tests.integration.page import stage
from tests.integration.page.visitor import ARGUMENTS, CHROMIUM, Visitor
from tests.support.program import MIB, ROOT, Program, until, write_run

from exlab_wizard.server.page.forms import address

PICTURES: Final = ROOT / "docs" / "pictures"
_COLOURS: Final = 96


@dataclass(frozen=True)
class Look:
    """A size and a theme."""

    name: str
    width: int
    height: int
    theme: str


LOOKS: Final = (Look("light", 1180, 860, "light"), Look("dark", 1180, 860, "dark"), Look("narrow", 390, 844, "light"))


@dataclass(frozen=True)
class View:
    """A page, and what is done on it before the picture is taken."""

    name: str
    path: str
    act: Callable[[Page], None] = lambda _page: None
    undo: Callable[[Page], None] = lambda _page: None


def views(program: Program, root: Path) -> list[View]:
    """Return every view of the running laboratory; each name is that of a file."""
    failed = stage.failed_run(program, root)
    arrived = program.enqueue(root / "scope-2" / "2026-11-24_scan-401")
    until(lambda: program.job_state(failed) == "failed" and program.job_state(arrived) == "verified")
    program.configure(bandwidth_mib_s=4, more=f'[server]\nroots = ["{root}"]\n')
    moving = program.enqueue(write_run(root / "scope-2" / "2026-11-24_scan-402", {"detector.raw": 512 * MIB}, 7))
    until(lambda: program.number("SELECT bytes_done FROM sync_jobs WHERE id = ?", moving) > 24 * MIB)
    below = f"/add?root={address(root)}&at=scope-2"
    return [
        View("now", "/"),
        View("history", "/history"),
        View("failed", f"/runs/{failed}"),
        View("run", f"/runs/{arrived}"),
        View("charts", "/charts"),
        View("add", below),
        View("chosen", f"{below}/2026-11-24_scan-403"),
        View("settings", "/settings", try_nas),
        View("quit", "/quit"),
        View("question", "/quit", ask, lambda page: page.get_by_role("button", name="Keep running").click()),
    ]


def try_nas(page: Page) -> None:
    """Press the button, and go back to the top."""
    page.get_by_role("button", name="Test nas").click()
    page.locator("#tried").wait_for()
    page.evaluate("scrollTo(0, 0)")


def ask(page: Page) -> None:
    """Quit, and wait for the question."""
    page.get_by_role("button", name="Quit ExLab-Wizard").click()
    page.get_by_role("dialog").wait_for(timeout=60_000)


def save(page: Page, file: Path) -> None:
    """Write what the window shows, in few colours: these are pictures of plain areas and text."""
    with Image.open(BytesIO(page.screenshot())) as picture:
        picture.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)


def main(wanted: list[str]) -> None:
    """Make the pictures whose names are `wanted`, or all."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lab-") as home, Program(Path(home)) as program:
        root = stage.instrument(program, *(f"2026-11-24_scan-{number}" for number in (401, 403, 404, 405)))
        stage.a_month(program)
        program.configure(window_s=1, more=f'[server]\nroots = ["{root}"]\n')
        program.start()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            for view in views(program, root):
                for look in LOOKS:
                    if wanted and view.name not in wanted:
                        continue
                    with Visitor.of(
                        browser,
                        program,
                        view.path,
                        width=look.width,
                        height=look.height,
                        theme="dark" if look.theme == "dark" else "light",
                    ) as visitor:
                        view.act(visitor.page)
                        save(visitor.page, PICTURES / f"page-{view.name}-{look.name}.png")
                        view.undo(visitor.page)
                        visitor.page.get_by_role("dialog").wait_for(state="hidden")
            browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])

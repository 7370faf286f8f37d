"""History, one run, its receipt, charts, adding and settings: readable for everybody, whatever a name holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Dialog
from tests.integration.page import stage
from tests.integration.page.accessible import faults_of
from tests.integration.page.conftest import Visit
from tests.integration.page.visitor import expect
from tests.support.program import Program, until

from exlab_wizard.server.page.forms import address

pytestmark = pytest.mark.slow
REFUSED = "Failed to load resource: the server responded with a status of 4"


@dataclass(frozen=True)
class Laboratory:
    """A program with a month behind it, a failed run and one that has just arrived; and where each view is."""

    program: Program
    root: Path
    views: dict[str, str]


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    with Program(tmp_path_factory.mktemp("laboratory")) as program:
        root = stage.instrument(program, "scan-401", *stage.HOSTILE)
        stage.a_month(program)
        program.start()
        failed = stage.failed_run(program, root)
        arrived = program.enqueue(root / "scope-2" / "scan-401")
        until(lambda: program.job_state(failed) == "failed" and program.job_state(arrived) == "verified")
        for name in stage.HOSTILE:
            program.enqueue(root / "scope-2" / name)
        until(
            lambda: program.number("SELECT count(*) FROM sync_jobs WHERE state = 'queued' OR finished_at IS NULL") == 0
        )
        below = f"/add?root={address(root)}&at="
        views = {
            "history": "/history",
            "a search": "/history?text=scan&state=verified&since=2020-01-01",
            "a search in vain": "/history?text=nothing-of-the-kind",
            "a failed run": f"/runs/{failed}",
            "a verified run": f"/runs/{arrived}",
            "a receipt": f"/runs/{arrived}/receipt",
            "charts": "/charts",
            "roots": "/add",
            "folders": f"{below}scope-2",
            "a chosen folder": f"{below}scope-2/scan-401",
            "settings": "/settings",
        }
        yield Laboratory(program, root, views)


VIEWS = (
    "history", "a search", "a search in vain", "a failed run", "a verified run", "a receipt", "charts", "roots",
    "folders", "a chosen folder", "settings",
)  # fmt: skip


@pytest.mark.sampled(cases=4)
@pytest.mark.parametrize("name", VIEWS)
def test_every_view_is_accessible_and_fits_a_narrow_window(laboratory: Laboratory, visit: Visit, name: str) -> None:
    assert set(laboratory.views) == set(VIEWS)
    page = visit(laboratory.program, laboratory.views[name]).page
    page.evaluate("for (const one of document.querySelectorAll('main details')) one.open = true")
    assert faults_of(page) == []
    # One word for one thing: the page says "launch", as the quit question does.
    assert not re.search(r"next start\b|\bstart \d", page.locator("body").inner_text())


def test_pages_that_refuse_are_accessible_and_fit_a_narrow_window(laboratory: Laboratory, visit: Visit) -> None:
    visitor = visit(laboratory.program, "/no-such-page", may_fail=True)
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("There is no such page")
    visitor.page.set_viewport_size({"width": 360, "height": 640})
    expect(visitor.page.get_by_role("link", name="Go to the first page")).to_be_in_viewport(ratio=1)
    missing = faults_of(visitor.page)
    visitor.page.context.clear_cookies()
    visitor.go("/history")
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("This window is not logged in")
    assert (missing, faults_of(visitor.page)) == ([], [])
    assert [fault for fault in visitor.faults if REFUSED not in fault] == []


@pytest.mark.sampled
@pytest.mark.parametrize("name", ["history", "a verified run", "charts", "settings"])
def test_on_a_very_large_screen_the_text_grows_and_lines_stay_short(
    laboratory: Laboratory, visit: Visit, name: str
) -> None:
    page = visit(laboratory.program, laboratory.views[name], width=3840, height=2160).page
    box = page.get_by_role("main").bounding_box()
    assert box is not None
    assert 1600 < box["width"] < 2200
    assert abs(box["x"] + box["width"] / 2 - 3840 / 2) < 20
    assert float(page.evaluate("() => parseFloat(getComputedStyle(document.documentElement).fontSize)")) > 26


def test_what_a_name_holds_is_shown_and_never_run(laboratory: Laboratory, visit: Visit) -> None:
    visitor = visit(laboratory.program, "/history?text=scope-2")
    dialogs: list[Dialog] = []
    visitor.page.on("dialog", lambda dialog: dialogs.append(dialog))  # noqa: PLW0108 - Playwright cannot mark a built-in
    shown = [
        "<script>alert(1)<",
        '"><img src=x onerror=alert(1)>',
        r"\u202egnp.exe",
        r"two\nlines",
        r"caf\xe9",
        "x" * 255,
    ]
    for path in ("/history?text=scope-2", laboratory.views["folders"]):
        visitor.go(path)
        for name in shown:
            expect(visitor.page.locator("main").get_by_text(name, exact=True).first).to_be_visible()
        assert visitor.page.locator("main script, main img").count() == 0
    visitor.go("/history?text=%3Cscript%3E")
    visitor.page.locator("#found a").first.click()
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("<script>alert(1)<")
    assert visitor.page.locator("main script").count() == 0
    assert dialogs == []


def test_everything_can_be_read_and_found_without_the_script(laboratory: Laboratory, visit: Visit) -> None:
    visitor = visit(laboratory.program, "/history", script=False)
    page = visitor.page
    page.get_by_label("Part of a run's path").fill("spectrum-399")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#found li")).to_have_count(1)
    page.locator("#found a").click()
    expect(page.get_by_text("Verified: every byte was read back")).to_be_visible()
    visitor.go("/charts")
    page.get_by_text("Show as a table").first.click()
    expect(page.locator("#hours").locator("..").locator("tbody tr")).to_have_count(24)


def test_the_history_goes_back_to_the_first_run(laboratory: Laboratory, visit: Visit) -> None:
    page = visit(laboratory.program, "/history").page
    pages = 1
    while page.get_by_role("link", name="Older").count():
        page.get_by_role("link", name="Older").click()
        pages += 1
    assert pages == 9
    expect(page.locator("#found li").last).to_contain_text("scan-001")
    page.get_by_role("link", name="Newest").click()
    expect(page.locator("#found li").first).to_contain_text("x" * 255)

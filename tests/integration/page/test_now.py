"""The first page: a run seen on its way, what waits and why, pausing, hostile names, and all of it for everybody."""

from __future__ import annotations

import pytest
from tests.integration.page import stage
from tests.integration.page.accessible import faults_of, overflow
from tests.integration.page.conftest import Visit
from tests.integration.page.visitor import expect
from tests.support.program import MIB, Program, until, write_run

pytestmark = pytest.mark.slow


def test_a_run_is_seen_on_its_way_until_it_has_arrived(program: Program, visit: Visit) -> None:
    program.configure(bandwidth_mib_s=6)
    program.start()
    visitor = visit(program)
    main = visitor.page.get_by_role("main")
    expect(main).to_contain_text("Choose the folder of a run")
    program.enqueue(write_run(program.home / "runs" / "run-17", {"detector/frames.raw": 18 * MIB, "notes.txt": 100}))
    card = visitor.page.locator("#job-1")
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Syncing 1 run")
    expect(card).to_contain_text("Sending to nas")
    expect(card).to_contain_text("of 18.0 MiB")
    expect(card).to_contain_text("of 2 files")
    expect(card).to_contain_text("MiB/s")
    expect(card).to_contain_text("left")
    expect(card).to_contain_text("detector/frames.raw")
    bar = card.get_by_role("progressbar")
    first = float(bar.get_attribute("value") or 0)
    until(lambda: float(bar.get_attribute("value") or 0) > first, what="the bar to move by itself")
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("All done")
    expect(visitor.page.locator("#arrived-1")).to_contain_text("Verified on nas")
    expect(card).to_have_count(0)


def test_what_waits_says_for_what_since_when_and_that_it_goes_on_by_itself(program: Program, visit: Visit) -> None:
    program.nas.rename(program.home / "unplugged")
    program.start()
    for number in (1, 2):
        program.enqueue(write_run(program.home / "runs" / f"run-{number}", {"a.raw": 1000}))
    waiting = visit(program).page.locator("#wait-1")
    expect(waiting).to_contain_text("2 runs for nas")
    expect(waiting).to_contain_text("nas has been offline since")
    expect(waiting).to_contain_text("resumes automatically")
    since, enqueued = (
        program.value("SELECT max(at) FROM job_events"),
        program.value("SELECT min(enqueued_at) FROM sync_jobs"),
    )
    assert isinstance(since, str)
    assert isinstance(enqueued, str)
    shown = waiting.locator("time").get_attribute("datetime")
    assert shown is not None
    assert enqueued <= shown <= since
    assert str(waiting.locator("time").get_attribute("title")).endswith(" UTC")


def test_pausing_and_going_on_by_button(program: Program, visit: Visit) -> None:
    program.configure(bandwidth_mib_s=2)
    program.start()
    program.enqueue(write_run(program.home / "runs" / "run-1", {"a.raw": 40 * MIB}))
    page = visit(program).page
    page.get_by_role("button", name="Pause syncing").click()
    paused = page.get_by_role("region", name="Paused since")
    expect(paused).to_contain_text("No run is synced until you resume.")
    expect(page.locator("#due-1")).to_contain_text("Starts when syncing resumes.")
    page.get_by_role("button", name="Resume syncing").click()
    expect(paused).to_be_hidden()
    expect(page.get_by_role("heading", level=1)).to_have_text("Syncing 1 run")


def test_safe_mode_says_why_nothing_is_synced_and_is_ended_by_button(program: Program, visit: Visit) -> None:
    for _ in range(3):
        program.start()
        program.kill()
    program.start()
    program.enqueue(write_run(program.home / "runs" / "run-1", {"a.raw": MIB}))
    page = visit(program).page
    safe = page.get_by_role("region", name="Safe mode: syncing is paused")
    expect(safe).to_contain_text("The last launches all ended within seconds.")
    assert faults_of(page) == []
    safe.get_by_role("button", name="Resume syncing").click()
    expect(safe).to_be_hidden()
    until(lambda: program.job_state(1) == "verified", what="the run to arrive")


def test_hostile_names_are_shown_and_never_run_and_the_layout_holds(program: Program, visit: Visit) -> None:
    program.nas.rename(program.home / "unplugged")
    program.start()
    program.api(
        "POST", "/sessions", {"kind": "run", "label": "</script><script>alert(1)</script>", "operator": "\u202eevil"}
    )
    with program.store() as store:
        for name in stage.HOSTILE:
            program.enqueue(write_run(program.home / "runs" / name, {"a": 10}))
        held = until(store.jobs.waiting_destinations, what="the destination to be missed")
    assert len(held) == 1
    put_off = "UPDATE sync_jobs SET waiting_on = NULL, not_before = '2100-01-01T00:00:00.000Z' WHERE state = 'queued'"

    def all_put_off() -> bool:  # a worker may just be trying one of them
        program.query(put_off)
        return program.number("SELECT count(*) FROM sync_jobs WHERE not_before > '2100'") == len(stage.HOSTILE)

    until(all_put_off, what="all runs to be put off")
    visitor = visit(program)
    main = visitor.page.get_by_role("main")
    for shown in (
        "<script>alert(1)<",
        '"><img src=x onerror=alert(1)>',
        "\\u202egnp.exe",
        "two\\nlines",
        "caf\\xe9",
        "\\u202eevil",
    ):
        expect(main).to_contain_text(shown)
    assert main.locator("script, img").count() == 0
    assert overflow(visitor.page, 360) == []


def test_every_state_is_accessible_and_fits_a_narrow_window(program: Program, visit: Visit) -> None:
    program.configure(bandwidth_mib_s=2, window_s=2)
    program.start()
    program.enqueue(write_run(program.home / "runs" / "run-1", {"a.raw": 60 * MIB}))
    program.enqueue(program.home / "runs" / "gone")
    program.api("POST", "/sessions", {"kind": "run", "label": "Sample 17", "operator": "Ada", "ttl_s": 600})
    until(lambda: program.number("SELECT bytes_done FROM sync_jobs WHERE id = 1") > 0, what="the first checkpoint")
    visitor = visit(program)
    visitor.may_lose_server = True
    page, found = visitor.page, {}
    expect(page.locator("html[data-script=on]")).to_be_attached()
    program.kill()
    expect(page.locator("#lost")).to_be_visible()
    found["connection lost"] = faults_of(page)
    program.start()
    expect(page.locator("#last-exit")).to_be_visible()
    expect(page.get_by_role("progressbar").first).to_be_visible()
    expect(page.locator("#failures")).to_be_visible()
    found["now, after a crash"] = faults_of(page)
    for path in ("/launches", "/quit"):
        visitor.go(path)
        found[path] = faults_of(page)
    page.get_by_role("button", name="Quit ExLab-Wizard").click()
    expect(page.locator("#quitting")).to_be_visible()
    expect(page.get_by_role("dialog")).to_be_visible()
    found["the question"] = faults_of(page)
    page.get_by_role("button", name="Force quit").click()
    expect(page.locator("#ended")).to_be_visible()
    found["after the end"] = faults_of(page)
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_a_browser_without_the_script_reads_everything(program: Program, visit: Visit) -> None:
    program.configure(bandwidth_mib_s=2)
    program.start()
    program.enqueue(write_run(program.home / "runs" / "run-1", {"a.raw": 40 * MIB}))
    until(lambda: program.number("SELECT bytes_done FROM sync_jobs") > 0, what="the first checkpoint")
    visitor = visit(program, script=False)
    expect(visitor.page.locator("#job-1")).to_contain_text("of 40.0 MiB")
    visitor.page.get_by_role("button", name="Pause syncing").click()
    expect(visitor.page.get_by_role("region", name="Paused since")).to_be_visible()
    visitor.page.get_by_role("button", name="Dark").click()
    expect(visitor.page.locator("html")).to_have_attribute("data-theme", "dark")


def test_the_keyboard_reaches_everything_and_skips_the_navigation(program: Program, visit: Visit) -> None:
    program.start()
    page = visit(program).page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("main").get_by_role("link", name="Add a run")).to_be_focused()
    small = page.evaluate(
        "() => [...document.querySelectorAll('button, nav a, .button')].filter((one) => one.offsetParent)"
        ".filter((one) => one.getBoundingClientRect().height < 48).map((one) => one.outerHTML.slice(0, 80))"
    )
    assert small == []
    assert float(page.evaluate("() => parseFloat(getComputedStyle(document.body).fontSize)")) >= 18

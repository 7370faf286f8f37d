"""Quitting in the page: the drain as it happens, its question, each answer, and what is said when all is over."""

from __future__ import annotations

import pytest
from tests.integration.page.accessible import faults_of
from tests.integration.page.conftest import Visit
from tests.integration.page.visitor import Visitor, expect
from tests.support.program import MIB, Program, until, write_run

pytestmark = pytest.mark.slow
SIZE = 60 * MIB
QUESTION = "1 operation still running. Force quit anyway?"


@pytest.fixture
def busy(program: Program) -> Program:
    """A program with one run on its way that takes longer than the test; a quit asks after a moment."""
    program.configure(bandwidth_mib_s=1, window_s=1.5)
    program.start()
    program.enqueue(write_run(program.home / "runs" / "run-1", {"a.raw": SIZE}))
    until(lambda: program.number("SELECT bytes_done FROM sync_jobs") > 0, what="the first checkpoint")
    return program


def quit_from(visitor: Visitor) -> None:
    visitor.page.get_by_role("link", name="Quit").click()
    visitor.page.get_by_role("button", name="Quit ExLab-Wizard").click()


def outcome(program: Program) -> list[tuple[object, ...]]:
    return [tuple(row) for row in program.query("SELECT trigger, outcome, waits FROM quit_requests ORDER BY id")]


def prompts(program: Program) -> int:
    return program.number("SELECT coalesce(max(prompts), 0) FROM quit_requests")


def test_the_question_takes_the_focus_and_force_quit_ends_on_the_last_page(busy: Program, visit: Visit) -> None:
    visitor = visit(busy)
    visitor.may_lose_server = True
    quit_from(visitor)
    dialog = visitor.page.get_by_role("dialog", name=QUESTION)
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("run-1")
    expect(dialog).to_contain_text("It will resume at the next launch.")
    expect(visitor.page.get_by_role("button", name="Wait")).to_be_focused()
    expect(visitor.page.locator("#said")).to_have_text(QUESTION)
    visitor.page.get_by_role("button", name="Force quit").click()
    expect(visitor.page.get_by_role("heading", name="ExLab-Wizard has quit.")).to_be_visible()
    expect(visitor.page.locator("#ended-sentence")).to_have_text("1 run resumes at the next launch.")
    expect(dialog).to_be_hidden()
    assert busy.wait() == 0
    assert outcome(busy) == [("window", "forced", 0)]
    sent = busy.number("SELECT bytes_done FROM sync_jobs")
    busy.configure()
    busy.start()
    banner = visitor.page.get_by_role("region", name="Last time ExLab-Wizard quit while runs were in flight")
    expect(banner).to_contain_text("1 run was interrupted and resumes automatically.")
    expect(banner).to_contain_text("run-1: verified")
    kept = busy.number("SELECT bytes_resumed FROM sync_jobs")
    assert kept >= sent > 0
    expect(banner).to_contain_text(f"{kept / MIB:.1f} MiB do not have to be sent again.")
    assert faults_of(visitor.page) == []


def test_escape_waits_and_keep_running_takes_the_quit_back(busy: Program, visit: Visit) -> None:
    visitor = visit(busy)
    quit_from(visitor)
    dialog = visitor.page.get_by_role("dialog", name=QUESTION)
    for waits in (1, 2):
        until(lambda waits=waits: prompts(busy) == waits, what="the question")  # type: ignore[misc]  # mypy knows no defaults of lambdas
        expect(dialog).to_be_visible()
        visitor.page.keyboard.press("Escape")
        until(lambda waits=waits: outcome(busy) == [("window", None, waits)], what="the wait to be noted")  # type: ignore[misc]  # mypy knows no defaults of lambdas
    until(lambda: prompts(busy) == 3, what="the question again")
    # Between the questions the page has none, and whatever had the focus loses it.
    expect(visitor.page.get_by_role("button", name="Wait")).to_be_focused()
    visitor.page.keyboard.press("Tab")
    visitor.page.keyboard.press("Tab")
    expect(visitor.page.get_by_role("button", name="Keep running")).to_be_focused()
    visitor.page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(visitor.page.get_by_role("button", name="Quit ExLab-Wizard")).to_be_visible()
    until(lambda: outcome(busy) == [("window", "kept_running", 2)], what="the quit to be taken back")
    assert busy.process.poll() is None


def test_of_two_windows_one_answers_and_the_question_of_the_other_disappears(busy: Program, visit: Visit) -> None:
    one, other = visit(busy), visit(busy, "/settings-of-nobody", may_fail=True)
    other.go("/")
    quit_from(one)
    dialogs = [visitor.page.get_by_role("dialog", name=QUESTION) for visitor in (one, other)]
    for dialog in dialogs:
        expect(dialog).to_be_visible()
    other.page.get_by_role("button", name="Keep running").click()
    for dialog in dialogs:
        expect(dialog).to_be_hidden()
    expect(other.page.get_by_role("heading", level=1)).to_have_text("Syncing 1 run")


def test_what_ends_in_time_takes_the_question_away_and_the_page_says_that_nothing_is_left(
    program: Program, visit: Visit
) -> None:
    program.configure(window_s=0.3)
    program.start()
    _, session = program.api("POST", "/sessions", {"kind": "run", "label": "Sample 17", "operator": "Ada"})
    assert isinstance(session, dict)
    visitor = visit(program)
    visitor.may_lose_server = True
    expect(visitor.page.locator("#main")).to_contain_text("Sample 17 by Ada")
    quit_from(visitor)
    expect(visitor.page.get_by_role("dialog")).to_contain_text("Sample 17 (Ada)")
    program.api("POST", f"/sessions/{session['id']}/complete", {"runs": []})
    expect(visitor.page.get_by_role("heading", name="ExLab-Wizard has quit.")).to_be_visible()
    expect(visitor.page.locator("#ended-sentence")).to_have_text("Nothing is pending.")
    assert program.wait() == 0
    assert outcome(program) == [("window", "drained", 0)]


def test_before_it_asks_the_drain_counts_down_and_can_be_taken_back(program: Program, visit: Visit) -> None:
    program.configure(window_s=600)
    program.start()
    program.api("POST", "/sessions", {"kind": "run", "label": "Sample 17"})
    visitor = visit(program)
    quit_from(visitor)
    expect(visitor.page.get_by_role("heading", name="Quitting: waiting for 1 operation")).to_be_visible()
    expect(visitor.page.locator("#state [data-until]")).to_contain_text("9 min")
    visitor.page.get_by_role("button", name="Keep running").click()
    expect(visitor.page.get_by_role("button", name="Quit ExLab-Wizard")).to_be_visible()
    until(lambda: outcome(program) == [("window", "kept_running", 0)], what="the quit to be taken back")


def test_without_the_script_the_question_is_read_and_answered(busy: Program, visit: Visit) -> None:
    visitor = visit(busy, script=False)
    quit_from(visitor)
    until(lambda: prompts(busy) == 1, what="the question")
    visitor.go("/quit")
    expect(visitor.page.get_by_role("heading", name=QUESTION)).to_be_visible()
    visitor.page.get_by_role("button", name="Keep running").nth(0).click()
    until(lambda: outcome(busy) == [("window", "kept_running", 0)], what="the answer")

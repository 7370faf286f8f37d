"""The icon in a tray, chosen from as a panel does it: the real application, a real session bus, a real display."""

from __future__ import annotations

import signal

import pytest
from tests.support.desktop import OnDesktop, Panel
from tests.support.program import PATIENCE_SECONDS, until, write_run
from tests.support.slow_copy import SLOW_MIB_S, QuitRow, copying_slowly, finish, last_end, quits
from tests.support.wake_ups import LOOKS, lived

from exlab_wizard.tray.icon.menu import FORCE, KEEP_RUNNING, OPEN, PAUSE, QUIT, RESUME

pytestmark = pytest.mark.slow


def with_icon(program: OnDesktop, panel: Panel) -> None:
    until(panel.has_icon, what="the icon to appear")
    program.says("the icon is in the tray")


def test_quit_chosen_while_idle_ends_program_and_icon(program: OnDesktop, panel: Panel) -> None:
    program.start()
    with_icon(program, panel)
    shown = panel.look()
    assert (shown.title, shown.picture) == ("ExLab-Wizard: Idle", "idle")
    assert shown.labels == [OPEN, "Idle", PAUSE, QUIT]
    assert shown.enabled == shown.labels
    panel.click(QUIT)
    assert program.wait() == 0
    until(lambda: not panel.has_icon(), what="the icon to go")
    assert quits(program) == [QuitRow("tray", "drained", 0, 0, 0, 0, decided=True)]
    assert "Traceback" not in program.log()


def test_the_icon_follows_what_happens_and_is_left_alone_while_nothing_does(program: OnDesktop, panel: Panel) -> None:
    program.configure(bandwidth_mib_s=SLOW_MIB_S)
    program.start()
    with_icon(program, panel)
    copying_slowly(program, start=False)
    until(lambda: panel.look().labels[1].startswith("Syncing 1 run, "), what="the icon to say what is synced")
    assert panel.look().picture == "busy"
    before = len(panel.changes)
    moving = panel.look().title
    until(lambda: panel.look().title != moving, what="the icon to count on")
    assert "LayoutUpdated" not in panel.changes[before:], "the menu was replaced, and so closed under the pointer"

    panel.click(PAUSE)
    until(lambda: panel.look().picture == "paused", what="the icon to say that it is paused")
    assert panel.look().labels == [OPEN, "Paused, 1 run waiting", RESUME, QUIT]
    assert program.job_state() == "queued"
    # Whatever was told until now has arrived when this has been answered.
    panel.look()
    panel.changes.clear()
    seen = lived(program.process.pid)
    assert panel.changes == []
    assert seen.wake_ups < LOOKS
    assert seen.restless == set()

    program.configure()
    panel.click(RESUME)
    until(lambda: program.job_state() == "verified", what="the run to arrive")
    until(lambda: panel.look().labels == [OPEN, "Idle", PAUSE, QUIT], what="the icon to be idle again")


def test_the_question_of_a_quit_can_be_answered_at_the_icon_again_and_again(program: OnDesktop, panel: Panel) -> None:
    job = copying_slowly(program, window_s=0.5)
    with_icon(program, panel)
    # Somebody follows over HTTP, so there is somebody to be asked.
    until(lambda: program.api("GET", "/drain")[0] == 200, what="the API to answer")
    panel.click(QUIT)
    until(lambda: asking(program), what="the question to stand")
    until(lambda: KEEP_RUNNING in panel.look().labels, what="the menu to offer answers")
    shown = panel.look()
    assert shown.picture == "quitting"
    assert shown.labels == [OPEN, "Quitting: 1 operation still running. Force quit?", KEEP_RUNNING, FORCE]
    panel.click(KEEP_RUNNING)
    until(lambda: panel.look().picture == "busy", what="the icon to be busy again")
    assert quits(program) == [QuitRow("tray", "kept_running", 1, 0, 1, 0, decided=True)]

    until(lambda: program.api("GET", "/drain")[0] == 200, what="the API to answer")
    panel.click(QUIT)
    until(lambda: (panel.look().labels[-1] == QUIT and panel.look().enabled[-1] != QUIT) or asking(program))
    until(lambda: asking(program), what="the question to stand again")
    until(lambda: FORCE in panel.look().labels, what="the menu to offer to force")
    panel.click(FORCE)
    assert program.wait(PATIENCE_SECONDS) == 0
    assert last_end(program) == "forced"
    assert quits(program)[1] == QuitRow("tray", "forced", 1, 0, 1, 0, decided=True)
    program.options = ("--headless",)
    finish(program, job)


def asking(program: OnDesktop) -> bool:
    """Whether the question stands; looking keeps it standing, as somebody who can be asked is there."""
    status, view = program.api("GET", "/drain")
    assert isinstance(view, dict)
    return status == 200 and view["phase"] == "asking"


def test_a_quit_from_the_icon_waits_for_the_last_copy(program: OnDesktop, panel: Panel) -> None:
    copying_slowly(program)
    with_icon(program, panel)
    panel.click(QUIT)
    until(lambda: panel.look().labels[1] == "Quitting: waiting for 1 operation", what="the icon to say why it waits")
    assert panel.look().picture == "quitting"
    assert QUIT not in panel.look().enabled
    program.configure(bandwidth_mib_s=1_000)  # the copy ends now, however slow the machine is
    assert program.wait(PATIENCE_SECONDS) == 0
    assert program.job_state() == "verified"
    assert last_end(program) == "drained"


def test_ctrl_c_quits_as_ever_while_the_icon_is_there(program: OnDesktop, panel: Panel) -> None:
    program.start()
    with_icon(program, panel)
    program.process.send_signal(signal.SIGINT)
    assert program.wait(PATIENCE_SECONDS) == 0
    assert quits(program) == [QuitRow("signal", "drained", 0, 0, 0, 0, decided=True)]


def test_what_failed_shows_at_the_icon_in_its_own_words(program: OnDesktop, panel: Panel) -> None:
    program.start()
    with_icon(program, panel)
    run = write_run(program.home / "gone", {"a": 10})
    program.query(
        "INSERT INTO sync_jobs (run_path, destination, state, enqueued_at) VALUES (?, 'nas', 'queued', ?)",
        f"{run}-not",
        "2026-01-01T00:00:00.000Z",
    )
    until(lambda: panel.look().picture == "attention", what="the icon to ask for attention")
    assert panel.look().labels[1] == "1 failed"
    program.query("UPDATE sync_jobs SET state = 'cancelled'")
    until(lambda: panel.look().labels[1] == "Idle", what="the icon to be content again")

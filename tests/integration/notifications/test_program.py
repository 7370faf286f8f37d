"""The real program on a desktop with a notification daemon: asked to quit, killed, left without what it expects."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest
from tests.integration.notifications.daemon import FakeDaemon
from tests.support.desktop import OnDesktop
from tests.support.program import MIB, Program, until, write_run
from tests.support.slow_copy import QuitRow, copying_slowly, in_flight, last_end, quits

pytestmark = pytest.mark.slow
ASKED = "1 operation still running. Force quit anyway?"


def ask_to_quit(program: OnDesktop, daemon: FakeDaemon) -> None:
    """Quit with nobody at a terminal or at the page, once the program knows of the daemon."""
    until(lambda: daemon.greeted, what="the daemon to be found")
    program.process.send_signal(signal.SIGINT)


@pytest.fixture
def kind_of_program(bus: str) -> Callable[[Path], Program]:
    # A display that is not there: enough for a desktop, and nothing can appear on that of the person who tests.
    return partial(OnDesktop, DBUS_SESSION_BUS_ADDRESS=bus, DISPLAY=":4711")


def test_the_question_arrives_with_its_buttons_and_force_quit_ends_the_program(
    program: OnDesktop, daemon: FakeDaemon
) -> None:
    copying_slowly(program, window_s=1.0)
    ask_to_quit(program, daemon)
    popup = daemon.shows(ASKED)
    assert popup.buttons == ["Force quit", "Wait", "Keep running"]
    assert popup.body.startswith("slow → nas: ")
    assert "left to send" in popup.body
    daemon.press(popup, "force")
    program.wait()
    assert quits(program) == [QuitRow("signal", "forced", 1, 0, 1, 0, decided=True)]
    assert program.job_state() == "resumable"
    assert daemon.standing() is None


def test_wait_gives_another_window_and_keep_running_takes_the_quit_back(program: OnDesktop, daemon: FakeDaemon) -> None:
    copying_slowly(program, window_s=1.0)
    ask_to_quit(program, daemon)
    daemon.press(daemon.shows(ASKED), "wait")
    until(lambda: quits(program)[0].waits == 1, what="the answer to be written down")
    daemon.press(daemon.shows(ASKED), "keep_running")
    until(lambda: quits(program)[0].outcome == "kept_running", what="the quit to be taken back")
    assert in_flight(program)
    assert daemon.standing() is None


def test_when_the_work_ends_first_the_question_is_withdrawn_and_the_program_has_drained(
    program: OnDesktop, daemon: FakeDaemon
) -> None:
    copying_slowly(program, 20, window_s=0.5)
    ask_to_quit(program, daemon)
    popup = daemon.shows(ASKED)
    program.wait()
    assert not popup.standing
    assert last_end(program) == "drained", program.log()


def test_a_daemon_that_dies_with_the_question_leaves_the_program_to_force(
    program: OnDesktop, daemon: FakeDaemon
) -> None:
    copying_slowly(program, window_s=1.0)
    ask_to_quit(program, daemon)
    daemon.shows(ASKED)
    daemon.die()
    program.wait()
    assert last_end(program) == "forced"
    assert program.job_state() == "resumable"


def test_an_answer_at_the_api_withdraws_the_notification(program: OnDesktop, daemon: FakeDaemon) -> None:
    copying_slowly(program, window_s=1.0)
    ask_to_quit(program, daemon)
    popup = daemon.shows(ASKED)
    status, _ = program.api("POST", "/quit/answer", {"answer": "keep_running"})
    assert status == 202
    until(lambda: not popup.standing, what="the notification to be withdrawn")
    assert in_flight(program)


def test_what_was_resumed_after_a_kill_is_told(program: OnDesktop, daemon: FakeDaemon) -> None:
    copying_slowly(program)
    program.kill()
    program.start()
    popup = daemon.shows("1 run resumed")
    assert popup.body.startswith("1 run resumed after ExLab-Wizard ended unexpectedly.")
    assert popup.buttons == []
    until(lambda: in_flight(program), what="the copy to go on")


def test_runs_that_fail_are_told_together_with_the_remedy_and_routine_is_silent(
    program: OnDesktop, daemon: FakeDaemon
) -> None:
    program.start()
    arrives = program.enqueue(write_run(program.home / "fine", {"a.bin": MIB}))
    for number in range(50):
        program.enqueue(program.home / f"gone-{number}")
    popup = daemon.shows("50 runs were not synced")
    assert "source missing" in popup.body
    until(lambda: program.job_state(arrives) == "verified", what="the good run to arrive")
    assert len(daemon.popups) == 1


def test_a_click_on_a_run_that_failed_opens_the_window_on_it(program: OnDesktop, daemon: FakeDaemon) -> None:
    browser, opened = program.home / "browser", program.home / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n', encoding="utf-8")
    browser.chmod(0o755)
    program.environment |= {"BROWSER": f"{browser} %s"}
    program.start()
    job = program.enqueue(program.home / "gone <b>1")
    popup = daemon.shows("1 run was not synced")
    assert popup.body.startswith("gone &lt;b&gt;1 to nas: ")
    daemon.press(popup, "default")
    until(lambda: opened.exists() and f"/runs/{job}" in opened.read_text("utf-8"), what="the browser to be called")


def test_an_outage_is_told(program: OnDesktop, daemon: FakeDaemon) -> None:
    program.configure(more="[notifications]\noffline_after_s = 1\n")
    program.nas.rename(program.nas.with_name("away"))
    program.start()
    program.enqueue(write_run(program.home / "run-1", {"a.bin": MIB}))
    assert daemon.shows("nas has been offline for").body.startswith("1 run is waiting.")


def test_switched_off_nothing_is_shown_and_a_quit_asks_nobody(program: OnDesktop, daemon: FakeDaemon) -> None:
    program.configure(bandwidth_mib_s=5.0, window_s=1.0, more="[notifications]\nenabled = false\n")
    program.start()
    program.enqueue(write_run(program.home / "slow", {"big.bin": 100 * MIB}))
    until(lambda: in_flight(program), what="the copy to be in flight")
    ask_to_quit(program, daemon)
    program.wait()
    assert last_end(program) == "forced"
    assert daemon.popups == {}


def test_without_a_bus_it_works_quits_and_says_so_once(program: OnDesktop) -> None:
    program.environment["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=/nowhere/bus"
    program.start()
    job = program.enqueue(write_run(program.home / "run-1", {"a.bin": MIB}))
    until(lambda: program.job_state(job) == "verified", what="the run to arrive")
    until(lambda: "notifications are unavailable" in program.log(), what="the log to say it")
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0
    assert program.log().count("notifications are unavailable") == 1
    assert "Traceback" not in program.log()
    assert last_end(program) == "drained"


def test_a_daemon_that_never_answers_delays_no_quit(program: OnDesktop, daemon: FakeDaemon) -> None:
    daemon.deaf = True
    program.start()
    threads = psutil.Process(program.process.pid).num_threads
    until(lambda: threads() > 0)
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0
    assert last_end(program) == "drained"

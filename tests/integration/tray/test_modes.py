"""What the application makes of a desktop that lacks something, or loses it: a mode and one line, never an end."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest
from tests.support.desktop import Bus, OnDesktop, Panel
from tests.support.program import PATIENCE_SECONDS, until
from tests.support.slow_copy import QuitRow, copying_slowly, last_end, quits

from exlab_wizard.tray.icon.menu import PAUSE, QUIT

pytestmark = pytest.mark.slow


def one_line_about_the_icon(program: OnDesktop) -> None:
    """Hold that the log says once, in one line, how the operator meets the application."""
    lines = [line for line in program.log().splitlines() if "icon" in line]
    assert len(lines) == 1, program.log()


def quits_as_ever(program: OnDesktop) -> None:
    program.process.send_signal(signal.SIGINT)
    assert program.wait(PATIENCE_SECONDS) == 0
    assert last_end(program) == "drained"
    assert "Traceback" not in program.log()


def test_without_a_display_it_runs_headless_and_says_so_in_one_line(program: OnDesktop) -> None:
    del program.environment["DISPLAY"]
    program.start()
    assert "no display (neither DISPLAY nor WAYLAND_DISPLAY is set): running headless" in program.log()
    one_line_about_the_icon(program)
    quits_as_ever(program)


def test_without_a_session_bus_it_works_in_the_background(program: OnDesktop) -> None:
    del program.environment["DBUS_SESSION_BUS_ADDRESS"]
    program.start()
    program.says("no tray icon: there is no session bus (DBUS_SESSION_BUS_ADDRESS is not set)")
    one_line_about_the_icon(program)
    quits_as_ever(program)


@pytest.mark.parametrize("address", ["unix:path=/nowhere/bus", "nonsense"])
def test_a_session_bus_that_cannot_be_used_is_as_good_as_none(program: OnDesktop, address: str) -> None:
    program.environment["DBUS_SESSION_BUS_ADDRESS"] = address
    program.start()
    program.says("no tray icon: the session bus at")
    one_line_about_the_icon(program)
    quits_as_ever(program)


def test_a_session_bus_that_never_answers_delays_nothing(program: OnDesktop, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "bus"))
        deaf.listen()
        program.environment["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={tmp_path}/bus"
        program.start()
        assert "icon" not in program.log()
        program.says("no tray icon: the session bus does not answer within 2 s")
        quits_as_ever(program)


@pytest.mark.parametrize("module", ["pystray", "gi"])
def test_without_the_libraries_of_an_icon_it_says_which_is_missing(
    program: OnDesktop, panel: Panel, module: str, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / f"{module}.py").write_text(f"raise ImportError('no module named {module}, in this test')\n")
    program.environment["PYTHONPATH"] = f"{blocked}{os.pathsep}{program.environment['PYTHONPATH']}"
    program.start()
    missing = f"no module named {module}, in this test"
    program.says(f"no tray icon: no icon can be shown here: {missing}; docs/desktop.md says what to install")
    one_line_about_the_icon(program)
    assert not panel.has_icon()
    quits_as_ever(program)


def test_a_tray_that_shows_no_menu_counts_as_none(program: OnDesktop, panel: Panel) -> None:
    program.environment["PYSTRAY_BACKEND"] = "xorg"
    program.start()
    program.says("no tray icon: no icon can be shown here: the only tray here shows no menu")
    assert not panel.has_icon()
    quits_as_ever(program)


def test_a_panel_that_comes_later_gets_the_icon_later_and_again_after_a_restart(program: OnDesktop, bus: Bus) -> None:
    program.start()
    program.says("this desktop has no tray")
    with Panel(bus.address) as panel:
        until(panel.has_icon, what="the icon to come to the late panel")
        program.says("the icon is in the tray")
    with Panel(bus.address) as panel:
        until(panel.has_icon, what="the icon to come back to the panel that was restarted")
        assert panel.look().labels[-2:] == [PAUSE, QUIT]
        panel.click(QUIT)
        assert program.wait(PATIENCE_SECONDS) == 0
    assert quits(program) == [QuitRow("tray", "drained", 0, 0, 0, 0, decided=True)]


def test_a_session_bus_that_dies_takes_only_the_icon_with_it(program: OnDesktop, panel: Panel, bus: Bus) -> None:
    job = copying_slowly(program, mib=20)
    until(panel.has_icon, what="the icon to appear")
    program.says("the icon is in the tray")
    bus.end()
    until(lambda: program.job_state(job) == "verified", what="the run to arrive all the same")
    quits_as_ever(program)

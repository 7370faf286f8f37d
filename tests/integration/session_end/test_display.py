"""A log-off ends the X server first: the application drains all the same, where GTK would end the process at once."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from tests.support.desktop import OnDesktop, Panel, display, session_bus
from tests.support.program import folder_in_memory, until
from tests.support.slow_copy import SLOW_MIB_S, QuitRow, copying_slowly, last_end, quits

pytestmark = pytest.mark.slow


def test_a_display_that_goes_away_is_the_end_of_the_session(tmp_path: Path) -> None:
    with (
        folder_in_memory(tmp_path) as home,
        contextlib.ExitStack() as log_off,
        session_bus(tmp_path) as bus,
        Panel(bus.address) as panel,
        OnDesktop(home) as program,
    ):
        screen = log_off.enter_context(display())
        program.environment |= {"DISPLAY": screen, "DBUS_SESSION_BUS_ADDRESS": bus.address, "GDK_BACKEND": "x11"}
        program.configure(bandwidth_mib_s=SLOW_MIB_S, session_end_window_s=3.0)
        program.start()
        until(panel.has_icon, what="the icon")
        copying_slowly(program, start=False)
        log_off.close()
        assert program.wait() == 0
        assert "the connection to the display was lost" in program.log()
        assert last_end(program) == "forced", program.log()
        assert quits(program) == [QuitRow("signal", "forced", 0, 0, 1, 0, decided=True)]
        assert program.query("SELECT state, crashes FROM sync_jobs") == [("resumable", 0)]

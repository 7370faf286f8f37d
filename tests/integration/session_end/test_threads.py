"""However a quit ends: only the main thread is left at that moment, and no process afterwards."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest
from tests.integration.session_end.bus import SystemBus
from tests.integration.session_end.conftest import Frank, listening
from tests.support.desktop import Panel, session_bus
from tests.support.program import folder_in_memory, until, write_run
from tests.support.screen import screen
from tests.support.slow_copy import copying_slowly, last_end

from exlab_wizard.testing import Process

pytestmark = pytest.mark.slow


def alive(process: psutil.Process) -> bool:
    """Whether it does anything; one that has ended, and that nobody has waited for, does not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def test_a_quit_that_drains_leaves_nothing_behind(frank: Frank) -> None:
    frank.start()
    job = frank.enqueue(write_run(frank.home / "run", {"a": 10, "b": 5_000_000}))
    until(lambda: frank.job_state(job) == "verified", what="the run")
    with listening(frank):
        frank.process.send_signal(signal.SIGTERM)
        assert frank.wait() == 0
    assert frank.left() == (["MainThread"], [])
    assert last_end(frank) == "drained"
    assert [path.name for path in frank.state.glob("exlab-wizard.db-*")] == [], "the database was not closed"


def test_a_quit_that_forces_leaves_nothing_behind(frank: Frank) -> None:
    copying_slowly(frank)
    frank.process.send_signal(signal.SIGTERM)
    frank.process.send_signal(signal.SIGINT)
    assert frank.wait() == 0
    assert frank.left() == (["MainThread"], [])
    assert last_end(frank) == "forced"


def test_the_end_of_the_session_leaves_nothing_behind(frank: Frank, bus: SystemBus) -> None:
    job = copying_slowly(frank, mib=12)
    until(bus.inhibitors, what="the shutdown to be held back")
    bus.tell("PrepareForShutdown", begins=True)
    bus.tell("PrepareForShutdown", begins=True)
    assert frank.wait() == 0
    assert frank.left() == (["MainThread"], [])
    assert "abandoned" not in frank.log()
    # Said twice it does not force: what is nearly there arrives.
    assert (last_end(frank), frank.job_state(job)) == ("drained", "verified")
    assert bus.inhibitors() == set()


class FrankOnDesktop(Frank):
    """The same, as an operator starts it: with icon, notifications and window."""

    def start(self, *, ready: bool = True) -> Process:
        process = self._spawn(self.command("run", "--json"))
        if ready:
            self.until_ready()
        return process

    def descendants(self) -> set[psutil.Process]:
        """Return the processes below it, in whatever session, and those that only its environment gives away."""
        marked = {one for one in psutil.process_iter() if one.pid != self.process.pid and self._marked(one)}
        below = set(psutil.Process(self.process.pid).children(recursive=True)) if self.process.poll() is None else set()
        return marked | below

    def _marked(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("PYTHONPATH") == self.environment["PYTHONPATH"]
        except psutil.Error:
            return False


def test_icon_notifications_and_an_open_window_leave_nothing_behind(tmp_path: Path) -> None:
    with (
        folder_in_memory(tmp_path) as home,
        screen(tmp_path) as display,
        session_bus(tmp_path) as bus,
        Panel(bus.address) as panel,
        FrankOnDesktop(home) as program,
    ):
        program.environment |= {
            "DISPLAY": display.environ["DISPLAY"],
            "PATH": display.environ["PATH"],
            "PYTHONPATH": f"{program.environment['PYTHONPATH']}{os.pathsep}{home}",
            "DBUS_SESSION_BUS_ADDRESS": bus.address,
            "GDK_BACKEND": "x11",
        }
        program.start()
        until(panel.has_icon, what="the icon")
        until(display.windows, what="the window")
        job = program.enqueue(write_run(program.home / "run", {"a": 10}))
        until(lambda: program.job_state(job) == "verified", what="the run")
        descendants = program.descendants()
        assert any("--type=renderer" in one.cmdline() for one in descendants), "the page was shown by somebody else"
        program.process.send_signal(signal.SIGTERM)
        assert program.wait() == 0
        # The helpers of a browser that has ended notice that by themselves.
        until(lambda: not any(map(alive, descendants | program.descendants())), what="the browser's helpers to end")
        assert display.windows() == []
        assert program.left() == (["MainThread"], []), program.log()
        assert [path.name for path in program.state.glob("exlab-wizard.db-*")] == []

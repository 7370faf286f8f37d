"""A thread that dies is said in log and health, replaced where that can be, and keeps no quit from ending."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from tests.integration.session_end.conftest import Mortal
from tests.support.bench import HandClock
from tests.support.desktop import Panel, display, session_bus
from tests.support.program import MIB, Program, folder_in_memory, until, write_run
from tests.support.slow_copy import SLOW_MIB_S, in_flight, last_end

from exlab_wizard.process.supervisor import Supervised, Supervisor
from exlab_wizard.testing import Process

pytestmark = pytest.mark.slow


def health(program: Program) -> dict[str, tuple[str, str]]:
    """Return (status, reason) of each part."""
    status, view = program.api("GET", "/health")
    assert status == 200
    assert isinstance(view, dict)
    components = view["components"]
    assert isinstance(components, dict)
    return {name: (part["status"], part["reason"]) for name, part in components.items() if isinstance(part, dict)}


def quits(program: Program) -> None:
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0
    assert last_end(program) == "drained"


def test_an_idle_worker_that_dies_is_replaced_and_the_next_run_arrives(mortal: Mortal) -> None:
    mortal.configure(workers=1)
    mortal.start()
    first = mortal.enqueue(write_run(mortal.home / "run-1", {"a": 10}))
    until(lambda: mortal.job_state(first) == "verified", what="the first run")
    # One that sleeps dies when it is woken, by the second run.
    mortal.end_thread("worker-1", meanwhile=lambda: mortal.enqueue(write_run(mortal.home / "run-2", {"a": 10})))
    until(lambda: "was restarted" in health(mortal)["workers"][1], what="health to say it")
    assert health(mortal)["workers"][0] == "warn"
    assert "workers crashed unexpectedly" in mortal.log()
    until(lambda: mortal.job_state(first + 1) == "verified", what="the second run")
    quits(mortal)


def test_a_worker_that_dies_while_it_copies_loses_nothing(mortal: Mortal) -> None:
    mortal.configure(workers=1, bandwidth_mib_s=SLOW_MIB_S)
    mortal.start()
    job = mortal.enqueue(write_run(mortal.home / "slow", {"big.bin": 30 * MIB}))
    until(lambda: in_flight(mortal, job), what="the copy to be in flight")
    mortal.end_thread("worker-1")
    mortal.configure()

    def arrived() -> bool:
        mortal.query("UPDATE sync_jobs SET not_before = NULL WHERE state = 'queued'")
        return mortal.job_state(job) == "verified"

    until(arrived, what="the run to arrive all the same")
    assert mortal.checksums_pass("slow")
    assert health(mortal)["workers"][0] == "warn"
    quits(mortal)


def test_a_watchdog_that_dies_is_started_again_and_hears_the_next_quit(mortal: Mortal) -> None:
    mortal.start()
    health(mortal)  # by now it is in its loop: amid the start, SystemExit can strike where nothing of its own would
    mortal.end_thread("watchdog")
    until(lambda: "was restarted" in health(mortal)["watchdog"][1], what="health to say it")
    assert "watchdog crashed" in mortal.log()
    assert mortal.call("quit").returncode == 0
    assert mortal.wait() == 0
    assert last_end(mortal) == "drained"


def test_a_server_that_dies_is_said_in_the_log_and_syncing_and_quitting_go_on(mortal: Mortal) -> None:
    mortal.start()
    health(mortal)
    mortal.end_thread("http")
    until(lambda: "server crashed" in mortal.log(), what="the log to say it")
    job = mortal.enqueue(write_run(mortal.home / "run-1", {"a": 10}))
    until(lambda: mortal.job_state(job) == "verified", what="the run")
    assert not (mortal.state / "server.json").exists()
    quits(mortal)


class MortalOnDesktop(Mortal):
    """The same, as an operator starts it: with icon and notifications."""

    def start(self, *, ready: bool = True) -> Process:
        process = self._spawn(self.command("run", "--json", "--no-window"))
        if ready:
            self.until_ready()
        return process


@pytest.fixture
def at_icon(tmp_path: Path) -> Iterator[tuple[MortalOnDesktop, Panel]]:
    """The program with its icon in a panel."""
    with (
        folder_in_memory(tmp_path) as home,
        display() as screen,
        session_bus(tmp_path) as bus,
        Panel(bus.address) as panel,
        MortalOnDesktop(home) as program,
    ):
        program.environment |= {"DISPLAY": screen, "DBUS_SESSION_BUS_ADDRESS": bus.address, "GDK_BACKEND": "x11"}
        program.start()
        until(panel.has_icon, what="the icon")
        until(lambda: "the icon is in the tray" in program.log(), what="it to be there for good")
        yield program, panel


def goes_on(program: Program) -> None:
    """Icon and notifications are missed, in health and log, and nothing else is."""
    for name in ("icon", "notifications"):
        until(lambda name=name: f"{name} crashed" in program.log(), what="the log")  # type: ignore[misc]
    parts = health(program)
    assert {name for name, (status, _) in parts.items() if status == "error"} == {"icon", "notifications"}
    assert parts["icon"][1].endswith("use the window, and quit with `exlab-wizard quit`")
    job = program.enqueue(write_run(program.home / "after", {"a": 10}))
    until(lambda: program.job_state(job) == "verified", what="a run to arrive all the same")
    quits(program)


def test_what_looks_for_news_dies_and_the_icon_says_so_until_what_looks_for_the_icon_dies_too(
    at_icon: tuple[MortalOnDesktop, Panel],
) -> None:
    program, panel = at_icon
    program.end_thread(
        "notification-watcher", meanwhile=lambda: program.enqueue(write_run(program.home / "run", {"a": 10}))
    )
    until(lambda: panel.look().picture == "attention", what="the icon to ask for attention")
    said = "Needs a restart: notifications ended unexpectedly"
    assert (panel.look().labels[1], panel.look().title) == (said, f"ExLab-Wizard: {said}")
    program.end_thread("desktop")
    goes_on(program)


def test_the_loops_of_icon_and_notifications_end_and_the_rest_goes_on(
    at_icon: tuple[MortalOnDesktop, Panel],
) -> None:
    program, panel = at_icon
    program.end_thread("icon")
    until(lambda: not panel.has_icon(), what="the icon to go")
    program.end_thread("notifications")
    assert "no tray icon: the icon crashed; the window opens with: exlab-wizard open" in program.log()
    goes_on(program)


def test_what_has_ended_is_said_once_and_what_cannot_be_started_again_stays_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[str] = []
    supervisor = Supervisor(lambda: told.append("changed"))
    alive = {"icon": True, "watchdog": True}

    def revive() -> None:
        alive["watchdog"] = True

    def fail() -> None:
        raise RuntimeError("can't start new thread")

    supervisor.add(Supervised("icon", lambda: alive["icon"], "there is no icon", fail))
    supervisor.add(Supervised("watchdog", lambda: alive["watchdog"], "nothing expires", revive))
    supervisor.poll()
    assert (supervisor.troubles(), told) == ({"icon": "", "watchdog": ""}, [])
    alive.update(icon=False, watchdog=False)
    supervisor.poll()
    supervisor.poll()
    assert [component.name for component in supervisor.dead()] == ["icon"]
    troubles = supervisor.troubles()
    assert troubles["icon"] == "crashed unexpectedly: until restarted, there is no icon"
    assert Supervised("server", bool, "open the page instead").crash == "crashed unexpectedly: open the page instead"
    assert "was restarted once" in troubles["watchdog"]
    assert len(told) == 2
    assert caplog.text.count("icon crashed") == caplog.text.count("watchdog crashed") == 1


def test_what_dies_again_and_again_is_started_less_and_less_often(caplog: pytest.LogCaptureFixture) -> None:
    clock, starts = HandClock(), list[float]()
    supervisor = Supervisor(lambda: None, clock.monotonic)
    supervisor.add(Supervised("watchdog", lambda: False, "nothing expires", lambda: starts.append(clock.monotonic())))
    for _ in range(400):
        supervisor.poll()
        clock.pass_time(1)
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert (starts[0], gaps) == (1000, [2, 4, 8, 16, 32, 60, 60, 60, 60, 60])
    assert caplog.text.count("watchdog crashed") == len(starts) + 1


def test_who_cannot_even_be_asked_counts_as_dead() -> None:
    def ask() -> bool:
        raise OSError("gone")

    supervisor = Supervisor(lambda: None)
    supervisor.add(Supervised("icon", ask, "open the page instead"))
    assert [component.name for component in supervisor.dead()] == ["icon"]

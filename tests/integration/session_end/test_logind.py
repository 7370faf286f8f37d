"""The real program and a logind: what it holds back, when, and what a shutdown makes of it."""

from __future__ import annotations

import signal

import pytest
from tests.integration.session_end.bus import SystemBus
from tests.support.program import Program, until, write_run
from tests.support.slow_copy import QuitRow, copying_slowly, in_flight, last_end, quits

pytestmark = pytest.mark.slow

SHUTDOWN = ("shutdown", "ExLab-Wizard", "delay")
SLEEP = ("sleep", "ExLab-Wizard", "block")


@pytest.fixture
def told(program: Program, bus: SystemBus) -> Program:
    """The program, beside a logind."""
    program.environment["DBUS_SYSTEM_BUS_ADDRESS"] = bus.address
    return program


def test_shutdown_and_sleep_are_held_back_while_a_run_is_on_its_way_and_not_a_moment_longer(
    told: Program, bus: SystemBus
) -> None:
    others = bus.names()
    told.configure(bandwidth_mib_s=5)
    told.start()
    assert (bus.inhibitors(), bus.names()) == (set(), others), "idle, it has nothing to say to logind"
    job = copying_slowly(told, mib=12, start=False)
    until(lambda: bus.inhibitors() == {SHUTDOWN, SLEEP}, what="both to be held back")
    assert told.job_state(job) in ("running", "verifying")
    until(lambda: told.job_state(job) == "verified", what="the run to arrive")
    until(lambda: bus.inhibitors() == set(), what="both to be given back")
    # The next one takes them again.
    second = told.enqueue(write_run(told.home / "next", {"big.bin": 12 << 20}))
    until(lambda: bus.inhibitors() == {SHUTDOWN, SLEEP}, what="both to be held back again")
    told.query("UPDATE sync_jobs SET state = 'cancelled' WHERE id = ?", second)
    until(lambda: bus.inhibitors() == set(), what="both to be given back again")
    told.process.send_signal(signal.SIGTERM)
    assert told.wait() == 0


def test_an_open_session_holds_back_shutdown_and_not_sleep(told: Program, bus: SystemBus) -> None:
    told.start()
    status, session = told.api("POST", "/sessions", {"kind": "run", "label": "overnight"})
    assert status == 201
    assert isinstance(session, dict)
    until(lambda: bus.inhibitors() == {SHUTDOWN}, what="the shutdown to be held back")
    assert told.api("POST", f"/sessions/{session['id']}/abort")[0] == 200
    until(lambda: bus.inhibitors() == set(), what="it to be given back")


def test_a_shutdown_while_copying_is_answered_by_force(told: Program, bus: SystemBus) -> None:
    job = copying_slowly(told)
    until(lambda: SHUTDOWN in bus.inhibitors(), what="the shutdown to be held back")
    bus.tell("PrepareForShutdown", begins=True)
    assert told.wait() == 0
    assert bus.inhibitors() == set()
    assert last_end(told) == "forced", told.log()
    assert quits(told) == [QuitRow("signal", "forced", 0, 0, 1, 0, decided=True)]
    assert told.job_state(job) == "resumable"


def test_waking_up_is_heard_and_neither_sleep_nor_a_shutdown_that_others_announce_ends_anything(
    told: Program, bus: SystemBus
) -> None:
    job = copying_slowly(told)
    until(lambda: SLEEP in bus.inhibitors(), what="sleep to be held back")
    bus.pretend("PrepareForShutdown")
    bus.tell("PrepareForSleep", begins=True)
    bus.tell("PrepareForSleep", begins=False)
    until(lambda: "woken up" in told.log(), what="the program to hear it")
    assert in_flight(told, job)
    assert told.number("SELECT count(*) FROM quit_requests") == 0


def test_a_bus_that_dies_takes_nothing_with_it(told: Program, bus: SystemBus) -> None:
    job = copying_slowly(told)
    until(lambda: SHUTDOWN in bus.inhibitors(), what="the shutdown to be held back")
    bus.kill()
    told.configure()
    until(lambda: told.job_state(job) == "verified", what="the run to arrive")
    told.process.send_signal(signal.SIGTERM)
    assert told.wait() == 0
    assert last_end(told) == "drained"
    assert "Traceback" not in told.log()


def test_without_a_logind_there_is_one_line_in_the_log(told: Program, bus: SystemBus) -> None:
    bus.stop_logind()
    slow = copying_slowly(told)
    until(lambda: "does not announce the end of the session" in told.log(), what="the line")
    told.configure()
    for number in range(3):
        told.enqueue(write_run(told.home / f"run-{number}", {"a": 10}))
    until(lambda: told.number("SELECT count(*) FROM sync_jobs WHERE state = 'verified'") == slow + 3, what="the runs")
    told.process.send_signal(signal.SIGTERM)
    assert told.wait() == 0
    assert told.log().count("does not announce the end of the session") == 1
    assert "Traceback" not in told.log()

"""The question of the real program, in the terminal of whoever is to be asked."""

from __future__ import annotations

import pytest
from tests.support.program import MIB, Program, until, write_run
from tests.support.slow_copy import QuitRow, copying_slowly, finish, in_flight, last_end, quits
from tests.support.terminal import Seat

pytestmark = pytest.mark.slow

ASKED = "1 operation still running. Force quit anyway?"
CHOICES = "[k]eep running"


def seat(program: Program, *arguments: str) -> Seat:
    return Seat(program.command(*arguments), program.environment)


def test_quit_asks_in_its_own_terminal_and_keep_running_reopens_the_gate(program: Program) -> None:
    job = copying_slowly(program, window_s=1.0)
    with seat(program, "quit") as terminal:
        terminal.screen.shows(CHOICES)
        assert ASKED in terminal.screen.text
        assert "It will resume at the next launch." in terminal.screen.text
        terminal.screen.type("w\n")
        terminal.screen.shows(CHOICES, times=2)
        terminal.screen.type("k\n")
        assert terminal.wait() == 4
        terminal.screen.shows("kept running")
    assert quits(program) == [QuitRow("cli", "kept_running", 2, 1, 1, 0, decided=True)]
    assert program.value("SELECT draining_since FROM launches") is None
    assert program.process.poll() is None
    assert program.job_state(job) == "running"
    second = program.enqueue(write_run(program.home / "second", {"a": MIB}))
    until(lambda: program.job_state(second) == "verified", what="the queue to go on")


def test_quit_asks_in_its_own_terminal_and_force_is_force(program: Program) -> None:
    job = copying_slowly(program, window_s=1.0)
    with seat(program, "quit") as terminal:
        terminal.screen.shows(CHOICES)
        terminal.screen.type("f\n")
        assert terminal.wait() == 0
        terminal.screen.shows("forced to quit")
    assert program.wait() == 0
    assert quits(program) == [QuitRow("cli", "forced", 1, 0, 1, 0, decided=True)]
    finish(program, job)


def test_the_question_goes_when_the_last_job_ends(program: Program) -> None:
    copying_slowly(program, window_s=1.0)
    with seat(program, "quit") as terminal:
        terminal.screen.shows(CHOICES)
        program.configure(bandwidth_mib_s=1_000, window_s=1.0)  # the copy ends now, however slow the machine is
        assert terminal.wait() == 0
        terminal.screen.shows("all work in flight is finished")
    assert program.wait() == 0
    assert quits(program) == [QuitRow("cli", "drained", 1, 0, 1, 0, decided=True)]


def test_without_an_answer_the_program_goes_on_draining_until_nobody_is_left_to_ask(program: Program) -> None:
    copying_slowly(program, window_s=1.0)
    with seat(program, "quit") as terminal:
        terminal.screen.shows(CHOICES)
        terminal.process.kill()
        terminal.process.wait()
        # The one who asked has promised to be there for five seconds; then nobody can be asked.
        assert program.wait() == 0
    assert quits(program) == [QuitRow("cli", "forced", 1, 0, 1, 0, decided=True)]
    assert program.job_state() == "resumable"


def run_in_a_terminal(program: Program) -> Seat:
    terminal = seat(program, "run", "--headless")
    try:
        terminal.screen.shows("Queue a run with")
        program.enqueue(write_run(program.home / "slow", {"big.bin": 100 * MIB}))
        until(lambda: in_flight(program), what="the copy to be in flight")
    except AssertionError:
        terminal.process.kill()
        raise
    return terminal


def test_ctrl_c_in_the_terminal_asks_there_after_the_window_and_a_second_one_forces(program: Program) -> None:
    program.configure(bandwidth_mib_s=5.0, window_s=1.0)
    with run_in_a_terminal(program) as terminal:
        terminal.screen.type("\x03")
        terminal.screen.shows(CHOICES)
        assert ASKED in terminal.screen.text
        assert in_flight(program)
        terminal.screen.type("\x03")
        terminal.wait()
    assert last_end(program) == "forced"
    assert quits(program) == [QuitRow("signal", "forced", 1, 0, 1, 0, decided=True)]
    assert program.job_state() == "resumable"


def test_keep_running_typed_in_the_terminal_of_the_program_takes_the_quit_back(program: Program) -> None:
    program.configure(bandwidth_mib_s=5.0, window_s=1.0)
    with run_in_a_terminal(program) as terminal:
        terminal.screen.type("\x03")
        terminal.screen.shows(CHOICES)
        terminal.screen.type("keep\n")
        until(lambda: quits(program)[0].outcome == "kept_running", what="the quit to be taken back")
        assert in_flight(program)
        terminal.screen.type("\x03")
        terminal.screen.shows(CHOICES, times=2)
        terminal.screen.type("f\n")
        terminal.wait()
    assert [quit_row.outcome for quit_row in quits(program)] == ["kept_running", "forced"]


def test_closing_the_terminal_is_the_end_of_the_session(program: Program) -> None:
    program.configure(bandwidth_mib_s=5.0)
    with run_in_a_terminal(program) as terminal:
        terminal.process.send_signal(1)
        terminal.wait()
    assert last_end(program) == "forced"
    assert program.job_state() == "resumable"

"""Quitting the real program: real signals, the real command, and what the database says afterwards."""

from __future__ import annotations

import signal
import sys
from functools import partial

import pytest
from tests.support.program import MIB, PATIENCE_SECONDS, Program, until, write_run
from tests.support.slow_copy import QuitRow, copying_slowly, finish, in_flight, last_end, quits
from tests.support.wake_ups import LOOKS, lived, rounds

from exlab_wizard.domain.clock import from_text
from exlab_wizard.domain.quit import QuitTrigger
from exlab_wizard.domain.views import SessionKind
from exlab_wizard.process.identity import SystemClock
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.store.queue.sessions import NewSession

pytestmark = pytest.mark.slow
STARTS = 5


def test_sigterm_while_copying_cuts_it_off_and_the_next_launch_finishes(program: Program) -> None:
    job = copying_slowly(program)
    assert in_flight(program, job)
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0
    row = program.query("SELECT state, attempts, interruptions, crashes, claim_id FROM sync_jobs")
    assert row == [("resumable", 0, 1, 0, None)]
    assert last_end(program) == "forced", program.log()
    assert quits(program) == [QuitRow("signal", "forced", 0, 0, 1, 0, decided=True)]
    assert program.value("SELECT window_s FROM quit_requests") == 5.0
    assert not (program.nas / "slow").exists()
    sent = program.number("SELECT bytes_done FROM sync_jobs")
    finish(program, job)
    assert program.number("SELECT bytes_resumed FROM sync_jobs") >= sent > 0
    assert program.number("SELECT count(*) FROM job_events WHERE to_state = 'verified'") == 1


def test_sigterm_with_nothing_to_do_drains_at_once(program: Program) -> None:
    program.start()
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0
    assert last_end(program) == "drained"
    assert quits(program) == [QuitRow("signal", "drained", 0, 0, 0, 0, decided=True)]


def test_a_second_sigterm_during_the_drain_forces_at_once(program: Program) -> None:
    copying_slowly(program)
    program.process.send_signal(signal.SIGTERM)
    until(lambda: quits(program) and quits(program)[0].blocking_jobs == 1, what="the drain to begin")
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0
    assert last_end(program) == "forced"
    assert program.job_state() == "resumable"


def test_session_end_at_the_same_moment_as_ctrl_c_is_still_over_in_time(program: Program) -> None:
    copying_slowly(program)
    program.process.send_signal(signal.SIGINT)
    program.process.send_signal(signal.SIGTERM)
    program.wait()
    assert last_end(program) == "forced"


def test_ctrl_c_without_a_terminal_waits_the_window_then_forces(program: Program) -> None:
    copying_slowly(program, window_s=1.0)
    program.process.send_signal(signal.SIGINT)
    program.wait()
    assert last_end(program) == "forced"
    assert quits(program) == [QuitRow("signal", "forced", 0, 0, 1, 0, decided=True)]


def test_a_quit_exits_right_after_the_last_job_ended_and_asks_nobody(program: Program) -> None:
    """How soon after, `benchmarks/shutdown.py` measures."""
    for number in range(2):
        program.configure(bandwidth_mib_s=10.0)
        program.start()
        job = program.enqueue(write_run(program.home / f"run-{number}", {"big.bin": 24 * MIB}))
        until(partial(in_flight, program, job), what="the copy to be in flight")
        with program.store() as store:
            launch = store.launches.open_launch()
            assert launch is not None
            store.quits.request(launch.id, QuitTrigger.CLI, SystemClock().now())
        assert program.wait(PATIENCE_SECONDS) == 0
        assert program.job_state(job) == "verified"
        assert last_end(program) == "drained"
        assert quits(program)[-1] == QuitRow("cli", "drained", 0, 0, 1, 0, decided=True)
        decided = program.value("SELECT decided_at FROM quit_requests ORDER BY id DESC LIMIT 1")
        ended = program.value("SELECT finished_at FROM sync_jobs WHERE id = ?", job)
        assert from_text(str(decided)) >= from_text(str(ended))


def test_the_command_quit_waits_for_the_last_job_and_says_that_all_was_done(program: Program) -> None:
    job = copying_slowly(program, mib=40)
    answer = program.call("quit")
    assert answer.returncode == 0, answer.stderr
    assert "all work in flight is finished" in answer.stdout
    assert program.wait() == 0
    assert program.job_state(job) == "verified"
    assert quits(program) == [QuitRow("cli", "drained", 0, 0, 1, 0, decided=True)]


def test_quit_by_force_cuts_off_at_once_and_says_that_it_resumes(program: Program) -> None:
    job = copying_slowly(program)
    answer = program.call("quit", "--force")
    assert answer.returncode == 0, answer.stderr
    assert "resumes at the next launch" in answer.stdout
    assert program.wait() == 0
    assert quits(program) == [QuitRow("cli", "forced", 0, 0, 1, 0, decided=True)]
    assert program.job_state(job) == "resumable"
    finish(program, job)


def test_quit_with_nothing_running_says_so(program: Program) -> None:
    never_started = program.call("quit")
    assert (never_started.returncode, never_started.stdout) == (3, "")
    assert "not running" in never_started.stderr
    program.start()
    program.process.send_signal(signal.SIGTERM)
    program.wait()
    assert program.call("quit").returncode == 3


def test_nothing_is_claimed_any_more_while_the_program_drains(program: Program) -> None:
    copying_slowly(program, mib=40)
    program.process.send_signal(signal.SIGINT)
    until(lambda: quits(program), what="the drain to begin")
    late = program.enqueue(write_run(program.home / "late", {"a": 10}))
    assert program.wait() == 0
    assert last_end(program) == "drained"
    assert (program.job_state(1), program.job_state(late)) == ("verified", "queued")


def test_a_session_holds_back_the_quit_until_it_completes_and_its_run_starts_at_the_next_launch(
    program: Program,
) -> None:
    program.start()
    run = write_run(program.home / "acquired", {"a.dat": MIB})
    clock = SystemClock()
    with program.store() as store:
        launch = store.launches.open_launch()
        assert launch is not None
        lease = store.sessions.open(NewSession(SessionKind.RUN, "XRD of sample 7", ttl_s=60.0), launch.id, clock.now())
        program.process.send_signal(signal.SIGINT)
        until(lambda: quits(program) and quits(program)[0].blocking_sessions == 1, what="the drain to begin")
        rounds(program.process.pid)
        assert program.process.poll() is None
        completed = store.sessions.complete(lease.id, [NewJob(str(run), "nas")], clock.now())
        assert completed is not None
        job = completed[0].job_id
    assert program.wait() == 0
    assert last_end(program) == "drained"
    assert quits(program) == [QuitRow("signal", "drained", 0, 0, 0, 1, decided=True)]
    assert program.job_state(job) == "queued"
    program.start()
    until(lambda: program.job_state(job) == "verified", what="the session's run to arrive")
    assert program.checksums_pass("acquired")


def test_starts_and_stops_in_a_row_all_drain(program: Program) -> None:
    for _ in range(STARTS):
        program.start()
        program.process.send_signal(signal.SIGTERM)
        assert program.wait() == 0
    assert program.query("SELECT end_reason, count(*) FROM launches GROUP BY end_reason") == [("drained", STARTS)]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_program_with_nothing_to_do_rarely_wakes_up(program: Program) -> None:
    """How much processor time that takes, `benchmarks/steady.py` measures."""
    process = program.start()
    until(lambda: program.value("SELECT healthy_at FROM launches") is not None, what="the launch to settle")
    # What the start has put off may still be done meanwhile.
    seen = lived(process.pid)
    for _ in range(4):
        if seen.wake_ups < LOOKS and not seen.restless:
            break
        seen = lived(process.pid)
    assert seen.wake_ups < LOOKS
    assert seen.restless == set()

"""The wall clock is set, or stood still while the machine slept: delays and leases mean elapsed time all the same."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from tests.crash.faults.faulty_program import FaultyProgram, number_of
from tests.crash.faults.shim import Call
from tests.support.program import until

from exlab_wizard.domain.clock import from_text
from exlab_wizard.domain.views import SessionKind
from exlab_wizard.store.queue.sessions import NewSession

pytestmark = pytest.mark.slow
HOUR: Final = 3600


def delayed(running: FaultyProgram) -> int:
    """Return a job that is to be tried again in half a minute."""
    with running.faults.arm(Call.OPEN, f"{running.nas}/.exlab-incoming/*", number_of("EIO")):
        job = running.enqueue(running.new_run())
        assert running.ending(job).reason == "tried again: network"
    return job


def due_at(running: FaultyProgram, job: int) -> datetime:
    """Return when the job is due, by the clock of the program."""
    return from_text(str(running.value("SELECT not_before FROM sync_jobs WHERE id = ?", job)))


def due_in(running: FaultyProgram, job: int, clock_s: int) -> float:
    """Return the seconds until the job is due, for a clock that is set by so many."""
    return (due_at(running, job) - datetime.now(UTC) - timedelta(seconds=clock_s)).total_seconds()


def test_a_retry_does_not_wait_an_hour_because_the_clock_was_set_back_by_one(running: FaultyProgram) -> None:
    job = delayed(running)
    assert due_in(running, job, 0) <= 30
    before = due_at(running, job)
    # A worker that has read the clock just before may come early; none does while all is paused.
    assert running.call("pause").returncode == 0
    with running.faults.set_clock(-HOUR) as clock:
        until(lambda: due_at(running, job) != before, what="the delay to move along")
        assert abs((before - due_at(running, job)).total_seconds() - HOUR) < 1
        assert clock.hits
        assert "the clock jumped by -3600" in running.log()
    until(lambda: "the clock jumped by +3600" in running.log(), what="the clock to be right again")
    assert running.call("resume").returncode == 0
    running.verified(job)


def expires_in(running: FaultyProgram, lease: str, now: datetime) -> float:
    """Return the seconds from `now` until the lease runs out."""
    at = from_text(str(running.value("SELECT expires_at FROM session_leases WHERE id = ?", lease)))
    return (at - now).total_seconds()


def test_a_clock_set_forward_by_an_hour_ends_no_session_and_a_retry_comes_early(running: FaultyProgram) -> None:
    job = delayed(running)
    with running.store() as store:
        now = datetime.now(UTC)
        launch = running.number("SELECT max(id) FROM launches")
        lease = store.sessions.open(NewSession(SessionKind.RUN, "an acquisition", ttl_s=60), launch, now)
    with running.faults.set_clock(HOUR):
        running.verified(job)
        until(lambda: expires_in(running, lease.id, now) > HOUR, what="the lease to move along")
        assert 0 < expires_in(running, lease.id, now) - HOUR <= 61
        assert running.value("SELECT state FROM session_leases WHERE id = ?", lease.id) == "active"
    until(lambda: expires_in(running, lease.id, now) < HOUR, what="the clock to be right again")
    with running.store() as store:
        store.sessions.abort(lease.id, datetime.now(UTC))


def test_a_retry_does_not_wait_an_hour_because_the_clock_was_set_back_between_two_launches(
    program: FaultyProgram,
) -> None:
    with program.faults.set_clock(HOUR):
        program.start()
        job = delayed(program)
        assert due_in(program, job, HOUR) > -HOUR / 2
        program.process.send_signal(signal.SIGTERM)
        assert program.wait() == 0
    program.start()
    assert due_in(program, job, 0) <= 31
    program.make_due(job)
    program.verified(job)

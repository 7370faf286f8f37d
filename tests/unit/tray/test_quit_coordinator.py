"""The coordinator against the accidents of a quit, in virtual time: windows are their full thirty seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from tests.support.program import PATIENCE_SECONDS
from tests.support.virtual_quit import VirtualQuit

from exlab_wizard.domain.quit import DrainCount, Phase, QuitAnswer, QuitEvent, QuitOutcome
from exlab_wizard.errors import ExlabError
from exlab_wizard.tray.quit_coordinator import (
    DEFAULT_TIMEOUT_SECONDS,
    FORCE_RESERVE_SECONDS,
    FORCE_TIMEOUT_SECONDS,
    PREDICATE_POLL_INTERVAL_SECONDS,
    SIGTERM_TIMEOUT_SECONDS,
)

POLL = PREDICATE_POLL_INTERVAL_SECONDS
STOPS = ["workers stopped", "window closed", "server stopped"]


def quit_after(
    virtual: VirtualQuit, *events: tuple[float, Callable[[], None]], sigterm: bool = False, force: bool = False
) -> QuitOutcome:
    """Quit, while each of `events` happens at its second; return how it ended."""

    async def quitting() -> QuitOutcome:
        for seconds, act in events:
            virtual.at(seconds, act)
        return await virtual.coordinator.quit(sigterm=sigterm, force=force)

    return virtual.run(quitting())


def test_the_constants_are_those_that_are_promised() -> None:
    assert (DEFAULT_TIMEOUT_SECONDS, SIGTERM_TIMEOUT_SECONDS, PREDICATE_POLL_INTERVAL_SECONDS) == (30.0, 5.0, 0.1)


def test_quit_with_nothing_in_flight_drains_at_once_and_asks_nobody(virtual: VirtualQuit) -> None:
    assert quit_after(virtual) is QuitOutcome.DRAINED
    assert virtual.clock.seconds < POLL
    assert virtual.question.asked_at == []
    assert (virtual.gate.window_s, virtual.gate.found, virtual.gate.outcome) == (
        30.0,
        DrainCount(0, 0),
        QuitOutcome.DRAINED,
    )
    assert virtual.story == ["gate closed", "decided drained", *STOPS]
    assert virtual.coordinator.phase is Phase.STOPPED


def test_quit_returns_the_moment_the_last_job_ends_woken_by_the_event_not_by_the_poll(virtual: VirtualQuit) -> None:
    virtual.predicate.jobs = 1
    assert quit_after(virtual, (10.05, virtual.end_jobs)) is QuitOutcome.DRAINED
    assert virtual.clock.seconds == pytest.approx(10.05, abs=0.02)
    assert virtual.question.asked_at == []
    assert virtual.gate.found == DrainCount(0, 1)


def test_a_job_that_another_process_ended_is_seen_by_the_next_poll(virtual: VirtualQuit) -> None:
    virtual.predicate.jobs = 1
    assert quit_after(virtual, (10.05, lambda: virtual.end_jobs(silently=True))) is QuitOutcome.DRAINED
    assert 10.05 < virtual.clock.seconds <= 10.05 + 2 * POLL


def test_a_session_holds_back_the_quit_like_a_job(virtual: VirtualQuit) -> None:
    virtual.predicate.sessions = 1

    def complete() -> None:
        virtual.predicate.sessions = 0

    assert quit_after(virtual, (7.0, complete)) is QuitOutcome.DRAINED
    assert virtual.clock.seconds >= 7.0


def test_wait_chosen_three_times_gives_three_full_windows_and_three_questions(virtual: VirtualQuit) -> None:
    virtual.predicate.jobs = 3
    virtual.question.answers = ["wait", "wait", "wait"]
    assert quit_after(virtual, (100.0, virtual.end_jobs)) is QuitOutcome.DRAINED
    assert virtual.question.asked_at == pytest.approx([30.0, 60.0, 90.0], abs=0.5)
    assert virtual.clock.seconds == pytest.approx(100.0, abs=0.5)
    assert (virtual.gate.prompts, virtual.gate.waits) == (3, 3)
    assert "workers forced" not in virtual.story


def test_the_question_shows_what_is_in_flight(virtual: VirtualQuit) -> None:
    virtual.predicate.jobs = 2
    virtual.question.answers = ["force"]
    assert quit_after(virtual) is QuitOutcome.FORCED
    assert virtual.question.standing[0].count == DrainCount(0, 2)
    assert [blocker.label for blocker in virtual.question.standing[0].blockers] == ["/runs/0", "/runs/1"]
    assert virtual.story == ["gate closed", "workers forced", "decided forced", *STOPS]


def test_keep_running_opens_the_gate_and_lets_the_queue_go_on(virtual: VirtualQuit) -> None:
    virtual.predicate.jobs = 1
    virtual.question.answers = ["keep_running"]
    assert quit_after(virtual) is QuitOutcome.KEPT_RUNNING
    assert virtual.story == ["gate closed", "gate opened", "decided kept_running", "workers woken"]
    assert virtual.coordinator.phase is Phase.RUNNING
    assert not virtual.gate.closed


def test_a_quit_that_was_taken_back_can_be_asked_for_again(virtual: VirtualQuit) -> None:
    virtual.predicate.jobs = 1
    virtual.question.answers = ["keep_running"]
    assert quit_after(virtual) is QuitOutcome.KEPT_RUNNING
    virtual.predicate.jobs = 0
    assert quit_after(virtual) is QuitOutcome.DRAINED
    assert virtual.gate.closed


@pytest.mark.parametrize("event", [QuitEvent.FORCE, QuitEvent.QUIT])
def test_a_second_quit_while_the_question_stands_forces(virtual: VirtualQuit, event: QuitEvent) -> None:
    virtual.predicate.jobs = 1
    assert quit_after(virtual, (33.0, lambda: virtual.coordinator.post(event))) is QuitOutcome.FORCED
    assert virtual.clock.seconds == pytest.approx(33.0, abs=0.1)
    assert virtual.question.withdrawn == 1


def test_a_second_signal_during_the_drain_forces_at_once(virtual: VirtualQuit) -> None:
    virtual.predicate.jobs = 1
    assert quit_after(virtual, (1.0, lambda: virtual.coordinator.post(QuitEvent.FORCE))) is QuitOutcome.FORCED
    assert virtual.clock.seconds == pytest.approx(1.0, abs=0.1)
    assert virtual.question.asked_at == []


def test_a_second_signal_that_is_faster_than_the_quit_itself_is_not_lost(virtual: VirtualQuit) -> None:
    virtual.predicate.jobs = 1
    virtual.coordinator.post(QuitEvent.FORCE)
    assert quit_after(virtual) is QuitOutcome.FORCED
    assert virtual.clock.seconds < 1.0


def test_a_second_quit_during_the_drain_goes_on_draining(virtual: VirtualQuit) -> None:
    virtual.predicate.jobs = 1
    events = (5.0, lambda: virtual.coordinator.post(QuitEvent.QUIT)), (9.0, virtual.end_jobs)
    assert quit_after(virtual, *events) is QuitOutcome.DRAINED
    assert virtual.clock.seconds >= 9.0


def test_a_signal_for_a_quit_that_was_taken_back_does_not_decide_the_next_one(virtual: VirtualQuit) -> None:
    virtual.predicate.jobs = 1
    virtual.question.answers = ["keep_running"]
    assert quit_after(virtual) is QuitOutcome.KEPT_RUNNING
    virtual.coordinator.post(QuitEvent.FORCE)
    virtual.coordinator.forget()
    assert quit_after(virtual, (40.0, virtual.end_jobs)) is QuitOutcome.DRAINED


def test_the_question_disappears_when_the_last_job_ends(virtual: VirtualQuit) -> None:
    virtual.predicate.jobs = 1
    assert quit_after(virtual, (44.0, virtual.end_jobs)) is QuitOutcome.DRAINED
    assert virtual.clock.seconds == pytest.approx(44.0, abs=0.05)
    assert (virtual.question.withdrawn, virtual.gate.prompts) == (1, 1)


def test_no_answer_keeps_draining_for_as_long_as_it_takes(virtual: VirtualQuit) -> None:
    virtual.predicate.jobs = 1
    assert quit_after(virtual, (500.0, virtual.end_jobs)) is QuitOutcome.DRAINED
    assert virtual.question.asked_at == pytest.approx([30.0], abs=0.2)


def test_with_nobody_to_ask_the_window_ends_in_force(virtual: VirtualQuit) -> None:
    virtual.predicate.jobs = 1
    virtual.question.there = False
    assert quit_after(virtual) is QuitOutcome.FORCED
    assert virtual.clock.seconds == pytest.approx(30.0, abs=0.2)
    assert virtual.gate.prompts == 0


def test_a_surface_that_goes_away_while_it_asks_ends_in_force(virtual: VirtualQuit) -> None:
    virtual.predicate.jobs = 1

    def vanish() -> None:
        virtual.question.there = False

    assert quit_after(virtual, (35.0, vanish)) is QuitOutcome.FORCED
    assert virtual.clock.seconds == pytest.approx(35.0, abs=0.3)
    assert virtual.question.withdrawn == 1


@pytest.mark.parametrize("error", [ExlabError("no display"), OSError("gone"), RuntimeError("never foreseen")])
def test_a_surface_that_fails_ends_in_force_not_in_a_hang(virtual: VirtualQuit, error: Exception) -> None:
    virtual.predicate.jobs = 1
    virtual.question.error = error
    assert quit_after(virtual) is QuitOutcome.FORCED
    assert virtual.clock.seconds == pytest.approx(30.0, abs=0.3)


def test_what_cannot_be_read_is_never_idle_and_is_said_once(
    virtual: VirtualQuit, caplog: pytest.LogCaptureFixture
) -> None:
    virtual.predicate.unreadable = "cannot tell whether work is in flight: the file is gone"
    virtual.question.answers = ["wait"]
    assert quit_after(virtual, (70.0, lambda: virtual.coordinator.post(QuitEvent.QUIT))) is QuitOutcome.FORCED
    assert virtual.gate.found is None
    assert virtual.question.standing[0].count is None
    assert "the file is gone" in virtual.question.standing[0].trouble
    said = [record.message for record in caplog.records if "the file is gone" in record.message]
    assert len(said) == 1
    assert "The quit keeps waiting until it can" in said[0]


def test_unreadable_and_nobody_to_ask_ends_in_force(virtual: VirtualQuit) -> None:
    virtual.predicate.unreadable = "locked"
    virtual.question.there = False
    assert quit_after(virtual) is QuitOutcome.FORCED
    assert virtual.clock.seconds == pytest.approx(30.0, abs=0.3)


def test_an_unreadable_moment_only_delays_the_drain(virtual: VirtualQuit) -> None:
    virtual.predicate.unreadable = "locked"

    def readable() -> None:
        virtual.predicate.unreadable = ""

    assert quit_after(virtual, (3.0, readable)) is QuitOutcome.DRAINED
    assert virtual.clock.seconds >= 3.0


def test_idle_does_not_count_until_the_gate_is_known_to_be_closed(virtual: VirtualQuit) -> None:
    virtual.faults.failing.add("gate.close")
    assert quit_after(virtual, (4.0, virtual.faults.failing.clear)) is QuitOutcome.DRAINED
    assert virtual.clock.seconds >= 4.0
    assert virtual.story[0] == "gate closed"


def test_a_record_that_could_not_be_written_at_first_is_written_later(virtual: VirtualQuit) -> None:
    virtual.predicate.jobs = 1
    virtual.faults.failing.add("gate.begun")
    assert quit_after(virtual, (4.0, virtual.faults.failing.clear), (8.0, virtual.end_jobs)) is QuitOutcome.DRAINED
    assert virtual.gate.window_s == 30.0


def test_session_end_asks_nobody_and_leaves_time_for_the_checkpoint(virtual: VirtualQuit) -> None:
    virtual.predicate.jobs = 1
    assert quit_after(virtual, sigterm=True) is QuitOutcome.FORCED
    assert virtual.clock.seconds == pytest.approx(SIGTERM_TIMEOUT_SECONDS - FORCE_RESERVE_SECONDS, abs=0.2)
    assert virtual.question.asked_at == []
    assert virtual.gate.window_s == SIGTERM_TIMEOUT_SECONDS


def test_session_end_hurries_a_quit_that_is_draining(virtual: VirtualQuit) -> None:
    virtual.predicate.jobs = 1
    assert quit_after(virtual, (10.0, virtual.coordinator.hurry)) is QuitOutcome.FORCED
    assert virtual.clock.seconds == pytest.approx(10.0 + SIGTERM_TIMEOUT_SECONDS - FORCE_RESERVE_SECONDS, abs=0.2)
    assert virtual.question.asked_at == []


def test_session_end_hurries_a_quit_that_is_asking(virtual: VirtualQuit) -> None:
    virtual.predicate.jobs = 1
    assert quit_after(virtual, (50.0, virtual.coordinator.hurry)) is QuitOutcome.FORCED
    assert virtual.clock.seconds <= 53.3
    assert virtual.question.withdrawn == 1


def test_an_answer_does_not_take_session_end_back(virtual: VirtualQuit) -> None:
    virtual.predicate.jobs = 1
    virtual.question.answers = ["wait"]
    virtual.question.on_ask = virtual.coordinator.hurry
    assert quit_after(virtual) is QuitOutcome.FORCED
    assert virtual.clock.seconds == pytest.approx(30.0 + SIGTERM_TIMEOUT_SECONDS - FORCE_RESERVE_SECONDS, abs=0.3)


def test_session_end_that_is_faster_than_the_quit_itself_is_not_lost(virtual: VirtualQuit) -> None:
    virtual.predicate.jobs = 1
    virtual.coordinator.hurry()
    assert quit_after(virtual) is QuitOutcome.FORCED
    assert virtual.clock.seconds == pytest.approx(SIGTERM_TIMEOUT_SECONDS - FORCE_RESERVE_SECONDS, abs=0.2)


def test_force_skips_the_drain(virtual: VirtualQuit) -> None:
    virtual.predicate.jobs = 1
    assert quit_after(virtual, force=True) is QuitOutcome.FORCED
    assert virtual.clock.seconds < 1.0
    assert virtual.story == ["gate closed", "workers forced", "decided forced", *STOPS]


METHODS = [
    "gate.close",
    "gate.open",
    "gate.begun",
    "gate.asked",
    "gate.waited",
    "gate.decided",
    "predicate.count",
    "predicate.blockers",
    "workers.wake",
    "workers.force",
    "workers.stop",
    "question.available",
    "question.ask",
    "window.close",
    "server.stop",
]
ENDINGS: list[tuple[list[QuitAnswer], bool]] = [(["wait", "force"], False), (["keep_running"], False), ([], True)]


@pytest.mark.parametrize(("answers", "sigterm"), ENDINGS)
@pytest.mark.parametrize("method", METHODS)
def test_whatever_fails_on_the_way_the_quit_ends(
    virtual: VirtualQuit, method: str, answers: list[QuitAnswer], *, sigterm: bool
) -> None:
    virtual.predicate.jobs = 1
    virtual.question.answers = list(answers)
    virtual.faults.failing.add(method)
    outcome = quit_after(virtual, sigterm=sigterm)
    if outcome is not QuitOutcome.KEPT_RUNNING:
        assert outcome is QuitOutcome.FORCED
        assert [act for act in virtual.story if act in STOPS] == STOPS


@pytest.fixture
def never() -> Iterator[Callable[[], None]]:
    """Something that hangs until the test is over."""
    over = threading.Event()

    def hang() -> None:
        assert over.wait(PATIENCE_SECONDS)

    yield hang
    over.set()


def test_workers_that_hang_while_they_are_forced_are_left_behind(
    virtual: VirtualQuit, never: Callable[[], None]
) -> None:
    virtual.predicate.jobs = 1
    virtual.workers.hang = never
    assert quit_after(virtual, force=True) is QuitOutcome.FORCED
    assert virtual.clock.seconds == pytest.approx(FORCE_TIMEOUT_SECONDS, abs=0.1)
    assert virtual.story == ["gate closed", "workers forced", "decided forced", *STOPS]


def test_a_database_that_hangs_is_not_idle_and_keeps_no_quit_from_its_end(
    virtual: VirtualQuit, never: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    virtual.predicate.hang = never
    assert quit_after(virtual, sigterm=True) is QuitOutcome.FORCED
    assert virtual.clock.seconds <= SIGTERM_TIMEOUT_SECONDS
    assert "no answer within 0.5 s" in caplog.text

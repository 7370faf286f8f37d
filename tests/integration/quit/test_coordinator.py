"""The coordinator against the accidents of a quit, in virtual time: windows are their full thirty seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from tests.integration.quit.lab import Lab

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
    lab: Lab, *events: tuple[float, Callable[[], None]], sigterm: bool = False, force: bool = False
) -> QuitOutcome:
    """Quit, while each of `events` happens at its second; return how it ended."""

    async def quitting() -> QuitOutcome:
        for seconds, act in events:
            lab.at(seconds, act)
        return await lab.coordinator.quit(sigterm=sigterm, force=force)

    return lab.run(quitting())


def test_the_constants_are_those_that_are_promised() -> None:
    assert (DEFAULT_TIMEOUT_SECONDS, SIGTERM_TIMEOUT_SECONDS, PREDICATE_POLL_INTERVAL_SECONDS) == (30.0, 5.0, 0.1)


def test_quit_with_nothing_in_flight_drains_at_once_and_asks_nobody(lab: Lab) -> None:
    assert quit_after(lab) is QuitOutcome.DRAINED
    assert lab.clock.seconds < POLL
    assert lab.question.asked_at == []
    assert (lab.gate.window_s, lab.gate.found, lab.gate.outcome) == (30.0, DrainCount(0, 0), QuitOutcome.DRAINED)
    assert lab.story == ["gate closed", "decided drained", *STOPS]
    assert lab.coordinator.phase is Phase.STOPPED


def test_quit_returns_the_moment_the_last_job_ends_woken_by_the_event_not_by_the_poll(lab: Lab) -> None:
    lab.predicate.jobs = 1
    assert quit_after(lab, (10.05, lab.end_jobs)) is QuitOutcome.DRAINED
    assert lab.clock.seconds == pytest.approx(10.05, abs=0.02)
    assert lab.question.asked_at == []
    assert lab.gate.found == DrainCount(0, 1)


def test_a_job_that_another_process_ended_is_seen_by_the_next_poll(lab: Lab) -> None:
    lab.predicate.jobs = 1
    assert quit_after(lab, (10.05, lambda: lab.end_jobs(silently=True))) is QuitOutcome.DRAINED
    assert 10.05 < lab.clock.seconds <= 10.05 + 2 * POLL


def test_a_session_holds_back_the_quit_like_a_job(lab: Lab) -> None:
    lab.predicate.sessions = 1

    def complete() -> None:
        lab.predicate.sessions = 0

    assert quit_after(lab, (7.0, complete)) is QuitOutcome.DRAINED
    assert lab.clock.seconds >= 7.0


def test_wait_chosen_three_times_gives_three_full_windows_and_three_questions(lab: Lab) -> None:
    lab.predicate.jobs = 3
    lab.question.answers = ["wait", "wait", "wait"]
    assert quit_after(lab, (100.0, lab.end_jobs)) is QuitOutcome.DRAINED
    assert lab.question.asked_at == pytest.approx([30.0, 60.0, 90.0], abs=0.5)
    assert lab.clock.seconds == pytest.approx(100.0, abs=0.5)
    assert (lab.gate.prompts, lab.gate.waits) == (3, 3)
    assert "workers forced" not in lab.story


def test_the_question_shows_what_is_in_flight(lab: Lab) -> None:
    lab.predicate.jobs = 2
    lab.question.answers = ["force"]
    assert quit_after(lab) is QuitOutcome.FORCED
    assert lab.question.standing[0].count == DrainCount(0, 2)
    assert [blocker.label for blocker in lab.question.standing[0].blockers] == ["/runs/0", "/runs/1"]
    assert lab.story == ["gate closed", "workers forced", "decided forced", *STOPS]


def test_keep_running_opens_the_gate_and_lets_the_queue_go_on(lab: Lab) -> None:
    lab.predicate.jobs = 1
    lab.question.answers = ["keep_running"]
    assert quit_after(lab) is QuitOutcome.KEPT_RUNNING
    assert lab.story == ["gate closed", "gate opened", "decided kept_running", "workers woken"]
    assert lab.coordinator.phase is Phase.RUNNING
    assert not lab.gate.closed


def test_a_quit_that_was_taken_back_can_be_asked_for_again(lab: Lab) -> None:
    lab.predicate.jobs = 1
    lab.question.answers = ["keep_running"]
    assert quit_after(lab) is QuitOutcome.KEPT_RUNNING
    lab.predicate.jobs = 0
    assert quit_after(lab) is QuitOutcome.DRAINED
    assert lab.gate.closed


@pytest.mark.parametrize("event", [QuitEvent.FORCE, QuitEvent.QUIT])
def test_a_second_quit_while_the_question_stands_forces(lab: Lab, event: QuitEvent) -> None:
    lab.predicate.jobs = 1
    assert quit_after(lab, (33.0, lambda: lab.coordinator.post(event))) is QuitOutcome.FORCED
    assert lab.clock.seconds == pytest.approx(33.0, abs=0.1)
    assert lab.question.withdrawn == 1


def test_a_second_signal_during_the_drain_forces_at_once(lab: Lab) -> None:
    lab.predicate.jobs = 1
    assert quit_after(lab, (1.0, lambda: lab.coordinator.post(QuitEvent.FORCE))) is QuitOutcome.FORCED
    assert lab.clock.seconds == pytest.approx(1.0, abs=0.1)
    assert lab.question.asked_at == []


def test_a_second_signal_that_is_faster_than_the_quit_itself_is_not_lost(lab: Lab) -> None:
    lab.predicate.jobs = 1
    lab.coordinator.post(QuitEvent.FORCE)
    assert quit_after(lab) is QuitOutcome.FORCED
    assert lab.clock.seconds < 1.0


def test_a_second_quit_during_the_drain_goes_on_draining(lab: Lab) -> None:
    lab.predicate.jobs = 1
    events = (5.0, lambda: lab.coordinator.post(QuitEvent.QUIT)), (9.0, lab.end_jobs)
    assert quit_after(lab, *events) is QuitOutcome.DRAINED
    assert lab.clock.seconds >= 9.0


def test_a_signal_for_a_quit_that_was_taken_back_does_not_decide_the_next_one(lab: Lab) -> None:
    lab.predicate.jobs = 1
    lab.question.answers = ["keep_running"]
    assert quit_after(lab) is QuitOutcome.KEPT_RUNNING
    lab.coordinator.post(QuitEvent.FORCE)
    lab.coordinator.forget()
    assert quit_after(lab, (40.0, lab.end_jobs)) is QuitOutcome.DRAINED


def test_the_question_disappears_when_the_last_job_ends(lab: Lab) -> None:
    lab.predicate.jobs = 1
    assert quit_after(lab, (44.0, lab.end_jobs)) is QuitOutcome.DRAINED
    assert lab.clock.seconds == pytest.approx(44.0, abs=0.05)
    assert (lab.question.withdrawn, lab.gate.prompts) == (1, 1)


def test_no_answer_keeps_draining_for_as_long_as_it_takes(lab: Lab) -> None:
    lab.predicate.jobs = 1
    assert quit_after(lab, (500.0, lab.end_jobs)) is QuitOutcome.DRAINED
    assert lab.question.asked_at == pytest.approx([30.0], abs=0.2)


def test_with_nobody_to_ask_the_window_ends_in_force(lab: Lab) -> None:
    lab.predicate.jobs = 1
    lab.question.there = False
    assert quit_after(lab) is QuitOutcome.FORCED
    assert lab.clock.seconds == pytest.approx(30.0, abs=0.2)
    assert lab.gate.prompts == 0


def test_a_surface_that_goes_away_while_it_asks_ends_in_force(lab: Lab) -> None:
    lab.predicate.jobs = 1

    def vanish() -> None:
        lab.question.there = False

    assert quit_after(lab, (35.0, vanish)) is QuitOutcome.FORCED
    assert lab.clock.seconds == pytest.approx(35.0, abs=0.3)
    assert lab.question.withdrawn == 1


@pytest.mark.parametrize("error", [ExlabError("no display"), OSError("gone"), RuntimeError("never foreseen")])
def test_a_surface_that_fails_ends_in_force_not_in_a_hang(lab: Lab, error: Exception) -> None:
    lab.predicate.jobs = 1
    lab.question.error = error
    assert quit_after(lab) is QuitOutcome.FORCED
    assert lab.clock.seconds == pytest.approx(30.0, abs=0.3)


def test_what_cannot_be_read_is_never_idle_and_is_said_once(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    lab.predicate.unreadable = "whether work is in flight is unknown: the file is gone"
    lab.question.answers = ["wait"]
    assert quit_after(lab, (70.0, lambda: lab.coordinator.post(QuitEvent.QUIT))) is QuitOutcome.FORCED
    assert lab.gate.found is None
    assert lab.question.standing[0].count is None
    assert "the file is gone" in lab.question.standing[0].trouble
    said = [record.message for record in caplog.records if "the file is gone" in record.message]
    assert len(said) == 1
    assert "does not take this for idle" in said[0]


def test_unreadable_and_nobody_to_ask_ends_in_force(lab: Lab) -> None:
    lab.predicate.unreadable = "locked"
    lab.question.there = False
    assert quit_after(lab) is QuitOutcome.FORCED
    assert lab.clock.seconds == pytest.approx(30.0, abs=0.3)


def test_an_unreadable_moment_only_delays_the_drain(lab: Lab) -> None:
    lab.predicate.unreadable = "locked"

    def readable() -> None:
        lab.predicate.unreadable = ""

    assert quit_after(lab, (3.0, readable)) is QuitOutcome.DRAINED
    assert lab.clock.seconds >= 3.0


def test_idle_does_not_count_until_the_gate_is_known_to_be_closed(lab: Lab) -> None:
    lab.faults.failing.add("gate.close")
    assert quit_after(lab, (4.0, lab.faults.failing.clear)) is QuitOutcome.DRAINED
    assert lab.clock.seconds >= 4.0
    assert lab.story[0] == "gate closed"


def test_a_record_that_could_not_be_written_at_first_is_written_later(lab: Lab) -> None:
    lab.predicate.jobs = 1
    lab.faults.failing.add("gate.begun")
    assert quit_after(lab, (4.0, lab.faults.failing.clear), (8.0, lab.end_jobs)) is QuitOutcome.DRAINED
    assert lab.gate.window_s == 30.0


def test_session_end_asks_nobody_and_leaves_time_for_the_checkpoint(lab: Lab) -> None:
    lab.predicate.jobs = 1
    assert quit_after(lab, sigterm=True) is QuitOutcome.FORCED
    assert lab.clock.seconds == pytest.approx(SIGTERM_TIMEOUT_SECONDS - FORCE_RESERVE_SECONDS, abs=0.2)
    assert lab.question.asked_at == []
    assert lab.gate.window_s == SIGTERM_TIMEOUT_SECONDS


def test_session_end_hurries_a_quit_that_is_draining(lab: Lab) -> None:
    lab.predicate.jobs = 1
    assert quit_after(lab, (10.0, lab.coordinator.hurry)) is QuitOutcome.FORCED
    assert lab.clock.seconds == pytest.approx(10.0 + SIGTERM_TIMEOUT_SECONDS - FORCE_RESERVE_SECONDS, abs=0.2)
    assert lab.question.asked_at == []


def test_session_end_hurries_a_quit_that_is_asking(lab: Lab) -> None:
    lab.predicate.jobs = 1
    assert quit_after(lab, (50.0, lab.coordinator.hurry)) is QuitOutcome.FORCED
    assert lab.clock.seconds <= 53.3
    assert lab.question.withdrawn == 1


def test_an_answer_does_not_take_session_end_back(lab: Lab) -> None:
    lab.predicate.jobs = 1
    lab.question.answers = ["wait"]
    lab.question.on_ask = lab.coordinator.hurry
    assert quit_after(lab) is QuitOutcome.FORCED
    assert lab.clock.seconds == pytest.approx(30.0 + SIGTERM_TIMEOUT_SECONDS - FORCE_RESERVE_SECONDS, abs=0.3)


def test_session_end_that_is_faster_than_the_quit_itself_is_not_lost(lab: Lab) -> None:
    lab.predicate.jobs = 1
    lab.coordinator.hurry()
    assert quit_after(lab) is QuitOutcome.FORCED
    assert lab.clock.seconds == pytest.approx(SIGTERM_TIMEOUT_SECONDS - FORCE_RESERVE_SECONDS, abs=0.2)


def test_force_skips_the_drain(lab: Lab) -> None:
    lab.predicate.jobs = 1
    assert quit_after(lab, force=True) is QuitOutcome.FORCED
    assert lab.clock.seconds < 1.0
    assert lab.story == ["gate closed", "workers forced", "decided forced", *STOPS]


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
    lab: Lab, method: str, answers: list[QuitAnswer], *, sigterm: bool
) -> None:
    lab.predicate.jobs = 1
    lab.question.answers = list(answers)
    lab.faults.failing.add(method)
    outcome = quit_after(lab, sigterm=sigterm)
    if outcome is not QuitOutcome.KEPT_RUNNING:
        assert outcome is QuitOutcome.FORCED
        assert [act for act in lab.story if act in STOPS] == STOPS


@pytest.fixture
def never() -> Iterator[Callable[[], None]]:
    """Something that hangs until the test is over."""
    over = threading.Event()

    def hang() -> None:
        assert over.wait(60)

    yield hang
    over.set()


def test_workers_that_hang_while_they_are_forced_are_left_behind(lab: Lab, never: Callable[[], None]) -> None:
    lab.predicate.jobs = 1
    lab.workers.hang = never
    assert quit_after(lab, force=True) is QuitOutcome.FORCED
    assert lab.clock.seconds == pytest.approx(FORCE_TIMEOUT_SECONDS, abs=0.1)
    assert lab.story == ["gate closed", "workers forced", "decided forced", *STOPS]


def test_a_database_that_hangs_is_not_idle_and_keeps_no_quit_from_its_end(
    lab: Lab, never: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    lab.predicate.hang = never
    assert quit_after(lab, sigterm=True) is QuitOutcome.FORCED
    assert lab.clock.seconds <= SIGTERM_TIMEOUT_SECONDS
    assert "no answer within 0.5 s" in caplog.text

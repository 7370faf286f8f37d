"""Every move that the program or an administrator makes of a job reads as a sentence."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.support import views

from exlab_wizard.domain.job import TRANSITIONS, ErrorKind, JobState, WaitReason
from exlab_wizard.domain.outcome import AttemptHistory, Completed, Deferred, Failed, Interrupted, decide_next
from exlab_wizard.domain.views import JobEvent
from exlab_wizard.server.page.timeline import step
from exlab_wizard.server.page.words import waiting

NOW = datetime(2026, 11, 24, tzinfo=UTC)
OUTCOMES = [
    Completed("/nas/run"),
    Interrupted("cut off by a quit"),
    Interrupted("paused"),
    *(Deferred(reason, "detail") for reason in WaitReason),
    *(Failed(kind, "detail") for kind in ErrorKind),
]


def event(state: JobState, reason: str | None, detail: str | None = None) -> JobEvent:
    return views.event(to_state=state, reason=reason, detail=detail)


@pytest.mark.parametrize("outcome", OUTCOMES, ids=str)
def test_no_reason_of_ours_is_shown_as_the_program_writes_it(outcome: Completed | Failed) -> None:
    for attempts in (1, 9):
        decision = decide_next(AttemptHistory(attempts, None, NOW), outcome, NOW, settle_s=2)
        assert decision is not None
        words = step(event(decision.state, decision.state_reason)).words
        assert ":" not in words or not words.endswith(decision.state_reason)
        assert "_" not in words


@pytest.mark.parametrize("move", TRANSITIONS, ids="-".join)
def test_a_move_by_hand_says_so(move: tuple[JobState, JobState]) -> None:
    assert step(event(move[1], "changed with SQL")).words.endswith("(by SQL)")


@pytest.mark.parametrize("ended", ["crashed", "host_restarted", "forced"])
def test_what_recovery_writes_twice_reads_as_two_steps(ended: str) -> None:
    assert step(event(JobState.RESUMABLE, ended)).words.startswith("Interrupted")
    assert step(event(JobState.QUEUED, ended)).words.startswith("Queued again by the next launch")


def test_a_reason_of_somebody_else_stands_as_it_was_written() -> None:
    assert step(event(JobState.CANCELLED, "wrong sample")).words == "Cancelled: wrong sample"


def test_the_error_is_told_where_it_matters() -> None:
    assert step(event(JobState.FAILED, "failed: auth", "log in")).detail == "log in"
    assert step(event(JobState.VERIFIED, "read back and published", "old")).detail is None


@pytest.mark.parametrize("reason", WaitReason)
def test_what_is_waited_for_reads_the_same_now_and_in_the_timeline(reason: WaitReason) -> None:
    assert waiting(reason) == f"{step(event(JobState.QUEUED, f'waits: {reason}')).words}."

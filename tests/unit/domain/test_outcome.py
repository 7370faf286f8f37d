"""What follows from an attempt: every outcome, every kind of error, and three budgets that never mix."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from exlab_wizard.domain.job import ErrorKind, JobState, WaitReason
from exlab_wizard.domain.outcome import (
    AttemptHistory,
    Completed,
    Decision,
    Deferred,
    Failed,
    Interrupted,
    Outcome,
    Superseded,
    decide_next,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AT_ONCE = (ErrorKind.AUTH, ErrorKind.CONFIG, ErrorKind.SOURCE_MISSING, ErrorKind.CONFLICT, ErrorKind.CRASH_LOOP)


def decide(outcome: Outcome, attempts: int = 1, last: ErrorKind | None = None, waited_s: float = 0) -> Decision:
    history = AttemptHistory(attempts, last, NOW - timedelta(seconds=waited_s))
    decision = decide_next(history, outcome, NOW, settle_s=2.0)
    assert decision is not None
    return decision


def delay(decision: Decision) -> float | None:
    return None if decision.not_before is None else (decision.not_before - NOW).total_seconds()


@pytest.mark.parametrize("attempts", [1, 6, 40])
def test_a_completed_attempt_verifies_the_job(attempts: int) -> None:
    assert decide(Completed("/nas/run"), attempts) == Decision(JobState.VERIFIED, "read back and published")


@pytest.mark.parametrize("attempts", [1, 6, 400])
def test_an_interruption_gives_the_attempt_back_however_often(attempts: int) -> None:
    found = decide(Interrupted("quit"), attempts)
    assert found == Decision(JobState.RESUMABLE, "quit", attempt_given_back=True, interrupted=True)


def test_a_lost_claim_writes_nothing() -> None:
    assert decide_next(AttemptHistory(1, None, NOW), Superseded(), NOW, settle_s=2.0) is None


@pytest.mark.parametrize("kind", AT_ONCE)
@pytest.mark.parametrize("attempts", [1, 3])
def test_what_trying_again_does_not_mend_fails_at_once(kind: ErrorKind, attempts: int) -> None:
    found = decide(Failed(kind, "because"), attempts)
    assert found == Decision(JobState.FAILED, f"failed: {kind}", error_kind=kind, error_detail="because")


@pytest.mark.parametrize("kind", [ErrorKind.NETWORK, ErrorKind.UNKNOWN])
def test_what_may_pass_is_tried_again_ever_later_and_then_fails(kind: ErrorKind) -> None:
    decisions = [decide(Failed(kind, "because"), attempts, kind) for attempts in range(1, 7)]
    assert [delay(one) for one in decisions] == [30, 120, 480, 1800, 7200, None]
    assert [one.state for one in decisions] == [JobState.QUEUED] * 5 + [JobState.FAILED]
    assert {(one.error_kind, one.error_detail, one.attempt_given_back) for one in decisions} == {
        (kind, "because", False)
    }


@pytest.mark.parametrize("attempts", [1, 5])
def test_a_mismatch_is_tried_once_more_at_once_and_fails_the_second_time(attempts: int) -> None:
    again = decide(Failed(ErrorKind.HASH_MISMATCH, "because"), attempts, ErrorKind.NETWORK)
    assert (again.state, delay(again), again.error_kind) == (JobState.QUEUED, None, ErrorKind.HASH_MISMATCH)
    assert (
        decide(Failed(ErrorKind.HASH_MISMATCH, "because"), attempts, ErrorKind.HASH_MISMATCH).state is JobState.FAILED
    )


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_of_error_is_decided(kind: ErrorKind) -> None:
    assert decide(Failed(kind, "because")).state in {JobState.QUEUED, JobState.FAILED}


@pytest.mark.parametrize("attempts", [1, 50])
@pytest.mark.parametrize("reason", WaitReason)
def test_waiting_uses_no_attempt_and_always_ends_by_itself(reason: WaitReason, attempts: int) -> None:
    found = decide(Deferred(reason, "because"), attempts, waited_s=90)
    assert (found.state, found.waiting_on, found.attempt_given_back) == (JobState.QUEUED, reason, True)
    assert (found.error_kind, found.error_detail, found.interrupted) == (None, "because", False)
    expected = {
        WaitReason.DESTINATION_OFFLINE: 600,
        WaitReason.DESTINATION_FULL: 60,
        WaitReason.EARLIER_ATTEMPT: 60,
        WaitReason.SOURCE_CHANGING: 9,
    }
    assert delay(found) == expected[reason]


@pytest.mark.parametrize(("waited_s", "recheck"), [(-5, 2), (0, 2), (100, 10), (100_000, 60)])
def test_a_source_that_changes_for_long_is_looked_at_less_often(waited_s: float, recheck: float) -> None:
    assert delay(decide(Deferred(WaitReason.SOURCE_CHANGING, "grows"), waited_s=waited_s)) == recheck

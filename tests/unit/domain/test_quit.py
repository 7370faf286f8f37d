"""The ladder of a quit: every phase with every event, and no way to get stuck."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exlab_wizard.domain.quit import DrainCount, Phase, QuitEvent, advance

MOVES = {
    Phase.RUNNING: {QuitEvent.QUIT: Phase.DRAINING, QuitEvent.FORCE: Phase.FORCING},
    Phase.DRAINING: {
        QuitEvent.IDLE: Phase.STOPPED,
        QuitEvent.WINDOW_OVER: Phase.ASKING,
        QuitEvent.WINDOW_OVER_UNASKABLE: Phase.FORCING,
        QuitEvent.FORCE: Phase.FORCING,
        QuitEvent.KEEP_RUNNING: Phase.RUNNING,
    },
    Phase.ASKING: {
        QuitEvent.IDLE: Phase.STOPPED,
        QuitEvent.WAIT: Phase.DRAINING,
        QuitEvent.FORCE: Phase.FORCING,
        QuitEvent.QUIT: Phase.FORCING,
        QuitEvent.WINDOW_OVER_UNASKABLE: Phase.FORCING,
        QuitEvent.KEEP_RUNNING: Phase.RUNNING,
    },
    Phase.FORCING: {QuitEvent.CHECKPOINTED: Phase.STOPPED},
    Phase.STOPPED: {},
}


@pytest.mark.parametrize(("phase", "event"), list(itertools.product(Phase, QuitEvent)))
def test_every_phase_knows_what_every_event_means(phase: Phase, event: QuitEvent) -> None:
    assert advance(phase, event) is MOVES[phase].get(event, phase)


@given(st.lists(st.sampled_from(QuitEvent)))
def test_whatever_happened_a_quit_can_still_end(events: list[QuitEvent]) -> None:
    phase = Phase.RUNNING
    for event in events:
        phase = advance(phase, event)
    for event in (QuitEvent.QUIT, QuitEvent.FORCE, QuitEvent.CHECKPOINTED):
        phase = advance(phase, event)
    assert phase is Phase.STOPPED


@given(st.lists(st.sampled_from(QuitEvent)))
def test_stopping_needs_idleness_or_a_checkpoint_and_is_final(events: list[QuitEvent]) -> None:
    phase = Phase.RUNNING
    for event in events:
        following = advance(phase, event)
        if following is Phase.STOPPED and phase is not Phase.STOPPED:
            assert event in {QuitEvent.IDLE, QuitEvent.CHECKPOINTED}
        assert phase is not Phase.STOPPED or following is Phase.STOPPED
        phase = following


@pytest.mark.parametrize(("sessions", "jobs", "idle"), [(0, 0, True), (1, 0, False), (0, 1, False), (2, 3, False)])
def test_only_both_counts_at_zero_are_idle(sessions: int, jobs: int, *, idle: bool) -> None:
    count = DrainCount(sessions, jobs)
    assert (count.idle, count.operations) == (idle, sessions + jobs)

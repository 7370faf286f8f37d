"""The one line that says how things stand, and the picture beside it."""

from __future__ import annotations

import pytest

from exlab_wizard.domain.headline import Condition, HeadlineState, condition, headline
from exlab_wizard.domain.job import WaitReason
from exlab_wizard.domain.quit import Phase

OFFLINE, FULL = WaitReason.DESTINATION_OFFLINE, WaitReason.DESTINATION_FULL


@pytest.mark.parametrize(
    ("overview", "line", "picture"),
    [
        (HeadlineState(), "Idle", Condition.IDLE),
        (HeadlineState(sessions=1), "Idle, 1 session open", Condition.IDLE),
        (HeadlineState(in_flight=1), "Syncing 1 run", Condition.BUSY),
        (
            HeadlineState(in_flight=3, percent=41.2, left_s=350.0),
            "Syncing 3 runs, 41%, about 6 min left",
            Condition.BUSY,
        ),
        (HeadlineState(in_flight=1, percent=99.9, left_s=0.0), "Syncing 1 run, 99%", Condition.BUSY),
        (HeadlineState(in_flight=2, percent=5.0, failed=2), "Syncing 2 runs, 5%, 2 failed", Condition.ATTENTION),
        (HeadlineState(queued=4), "Waiting: 4 runs", Condition.IDLE),
        (HeadlineState(queued=1, unreachable=(("NAS", OFFLINE),)), "Waiting: NAS offline", Condition.ATTENTION),
        (
            HeadlineState(queued=9, unreachable=(("a", OFFLINE), ("b", FULL), ("c", OFFLINE))),
            "Waiting: a offline, b full, 1 more",
            Condition.ATTENTION,
        ),
        (
            HeadlineState(queued=1, unreachable=(("a\nb", FULL),), failed=1),
            r"Waiting: a\nb full, 1 failed",
            Condition.ATTENTION,
        ),
        (HeadlineState(failed=2), "2 failed", Condition.ATTENTION),
        (HeadlineState(failed=12_345), "12,345 failed", Condition.ATTENTION),
        (HeadlineState(paused=True), "Paused", Condition.PAUSED),
        (HeadlineState(paused=True, queued=2), "Paused, 2 runs waiting", Condition.PAUSED),
        (HeadlineState(paused=True, queued=1, failed=1), "Paused, 1 run waiting, 1 failed", Condition.ATTENTION),
        (HeadlineState(safe_mode=True, queued=3), "Safe mode: syncing is paused; check the log", Condition.ATTENTION),
        (
            HeadlineState(trouble="The database cannot be read", in_flight=2),
            "The database cannot be read",
            Condition.ATTENTION,
        ),
        (HeadlineState(phase=Phase.DRAINING), "Quitting", Condition.QUITTING),
        (HeadlineState(phase=Phase.DRAINING, in_flight=1), "Quitting: waiting for 1 operation", Condition.QUITTING),
        (
            HeadlineState(phase=Phase.DRAINING, in_flight=1, sessions=1, failed=3, trouble="x"),
            "Quitting: waiting for 2 operations",
            Condition.QUITTING,
        ),
        (
            HeadlineState(phase=Phase.ASKING, in_flight=3),
            "Quitting: 3 operations still running. Force quit?",
            Condition.QUITTING,
        ),
        (
            HeadlineState(phase=Phase.FORCING, in_flight=3),
            "Quitting: unfinished runs resume at the next launch",
            Condition.QUITTING,
        ),
        (HeadlineState(phase=Phase.STOPPED), "Quitting", Condition.QUITTING),
    ],
)
def test_each_standing_has_its_line_and_its_picture(overview: HeadlineState, line: str, picture: Condition) -> None:
    assert headline(overview) == line
    assert condition(overview) is picture

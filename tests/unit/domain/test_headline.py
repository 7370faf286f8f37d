"""The one line that says how things stand, and the picture beside it."""

from __future__ import annotations

import pytest

from exlab_wizard.domain.headline import Condition, Overview, condition, headline
from exlab_wizard.domain.job import WaitReason
from exlab_wizard.domain.quit import Phase

OFFLINE, FULL = WaitReason.DESTINATION_OFFLINE, WaitReason.DESTINATION_FULL


@pytest.mark.parametrize(
    ("overview", "line", "picture"),
    [
        (Overview(), "Idle", Condition.IDLE),
        (Overview(sessions=1), "Idle, 1 session open", Condition.IDLE),
        (Overview(in_flight=1), "Syncing 1 run", Condition.BUSY),
        (Overview(in_flight=3, percent=41.2, left_s=350.0), "Syncing 3 runs, 41%, about 6 min left", Condition.BUSY),
        (Overview(in_flight=1, percent=99.9, left_s=0.0), "Syncing 1 run, 99%", Condition.BUSY),
        (Overview(in_flight=2, percent=5.0, failed=2), "Syncing 2 runs, 5%, 2 failed", Condition.ATTENTION),
        (Overview(queued=4), "Waiting: 4 runs", Condition.IDLE),
        (Overview(queued=1, unreachable=(("NAS", OFFLINE),)), "Waiting: NAS offline", Condition.ATTENTION),
        (
            Overview(queued=9, unreachable=(("a", OFFLINE), ("b", FULL), ("c", OFFLINE))),
            "Waiting: a offline, b full, 1 more",
            Condition.ATTENTION,
        ),
        (
            Overview(queued=1, unreachable=(("a\nb", FULL),), failed=1),
            r"Waiting: a\nb full, 1 failed",
            Condition.ATTENTION,
        ),
        (Overview(failed=2), "2 failed", Condition.ATTENTION),
        (Overview(failed=12_345), "12,345 failed", Condition.ATTENTION),
        (Overview(paused=True), "Paused", Condition.PAUSED),
        (Overview(paused=True, queued=2), "Paused, 2 runs waiting", Condition.PAUSED),
        (Overview(paused=True, queued=1, failed=1), "Paused, 1 run waiting, 1 failed", Condition.ATTENTION),
        (Overview(safe_mode=True, queued=3), "Safe mode: nothing is synced, check the log", Condition.ATTENTION),
        (
            Overview(trouble="The database cannot be read", in_flight=2),
            "The database cannot be read",
            Condition.ATTENTION,
        ),
        (Overview(phase=Phase.DRAINING), "Quitting", Condition.QUITTING),
        (Overview(phase=Phase.DRAINING, in_flight=1), "Quitting: waiting for 1 operation", Condition.QUITTING),
        (
            Overview(phase=Phase.DRAINING, in_flight=1, sessions=1, failed=3, trouble="x"),
            "Quitting: waiting for 2 operations",
            Condition.QUITTING,
        ),
        (
            Overview(phase=Phase.ASKING, in_flight=3),
            "Quitting: 3 operations still running. What now?",
            Condition.QUITTING,
        ),
        (
            Overview(phase=Phase.FORCING, in_flight=3),
            "Quitting: unfinished runs resume at the next launch",
            Condition.QUITTING,
        ),
        (Overview(phase=Phase.STOPPED), "Quitting", Condition.QUITTING),
    ],
)
def test_each_standing_has_its_line_and_its_picture(overview: Overview, line: str, picture: Condition) -> None:
    assert headline(overview) == line
    assert condition(overview) is picture

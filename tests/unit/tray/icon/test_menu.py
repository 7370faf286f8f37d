"""What the menu offers at each moment."""

from __future__ import annotations

import itertools

import pytest

from exlab_wizard.domain.headline import HeadlineState
from exlab_wizard.domain.quit import Phase
from exlab_wizard.tray.icon.menu import FORCE, KEEP_RUNNING, OPEN, PAUSE, QUIT, RESUME, Act, items


def offered(overview: HeadlineState) -> list[tuple[Act, str]]:
    return [(item.act, item.text) for item in items(overview) if item.act is not None and item.enabled]


def test_the_menu_opens_pauses_and_quits() -> None:
    assert offered(HeadlineState(in_flight=3, percent=41, left_s=360)) == [
        (Act.OPEN, OPEN),
        (Act.OPEN, "Syncing 3 runs, 41%, about 6 min left"),
        (Act.PAUSE, PAUSE),
        (Act.QUIT, QUIT),
    ]


def test_what_is_paused_can_go_on() -> None:
    assert offered(HeadlineState(paused=True))[2:] == [(Act.RESUME, RESUME), (Act.QUIT, QUIT)]


@pytest.mark.parametrize("phase", [Phase.DRAINING, Phase.FORCING, Phase.STOPPED])
def test_a_quit_that_is_under_way_is_not_begun_again(phase: Phase) -> None:
    assert [act for act, _ in offered(HeadlineState(phase=phase))] == [Act.OPEN, Act.OPEN]
    assert items(HeadlineState(phase=phase))[-1].text == QUIT


def test_the_question_of_a_quit_can_be_answered() -> None:
    assert offered(HeadlineState(phase=Phase.ASKING, in_flight=1))[2:] == [
        (Act.KEEP_RUNNING, KEEP_RUNNING),
        (Act.QUIT, FORCE),
    ]


@pytest.mark.parametrize("phase", Phase)
def test_groups_are_apart_and_one_item_is_the_default(phase: Phase) -> None:
    found = items(HeadlineState(phase=phase))
    assert [item.text for item in found if item.default] == [OPEN]
    lines = [index for index, item in enumerate(found) if item.act is None]
    assert lines
    assert not {0, len(found) - 1} & set(lines)
    assert all(after - before > 1 for before, after in itertools.pairwise(lines))

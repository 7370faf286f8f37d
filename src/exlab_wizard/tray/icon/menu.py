"""The icon's menu at one moment. Pure: a state in, items out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exlab_wizard.domain.headline import HeadlineState, headline
from exlab_wizard.domain.quit import Phase

OPEN: Final = "Open"
PAUSE: Final = "Pause syncing"
RESUME: Final = "Resume syncing"
KEEP_RUNNING: Final = "Keep running"
QUIT: Final = "Quit ExLab-Wizard"
FORCE: Final = "Force quit (resumes at the next launch)"


class Act(StrEnum):
    """What an item does."""

    OPEN = "open"
    PAUSE = "pause"
    RESUME = "resume"
    KEEP_RUNNING = "keep_running"
    QUIT = "quit"
    """While the question of a quit is open it forces."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the menu; without an `act` it is the line between two groups."""

    act: Act | None
    text: str = ""
    enabled: bool = True
    default: bool = False
    """A double click does this, or a click where no menu opens."""


SEPARATOR: Final = Item(None)


def items(state: HeadlineState) -> tuple[Item, ...]:
    """Return the menu from top to bottom.

    The line with the state opens the window, which shows more. A quit that is under way cannot be started again; its
    question can be answered here.
    """
    top = (Item(Act.OPEN, OPEN, default=True), Item(Act.OPEN, headline(state)), SEPARATOR)
    match state.phase:
        case Phase.RUNNING:
            pause = Item(Act.RESUME, RESUME) if state.paused else Item(Act.PAUSE, PAUSE)
            return (*top, pause, SEPARATOR, Item(Act.QUIT, QUIT))
        case Phase.ASKING:
            return (*top, Item(Act.KEEP_RUNNING, KEEP_RUNNING), Item(Act.QUIT, FORCE))
        case _:
            return (*top, Item(Act.QUIT, QUIT, enabled=False))

"""What the icon's menu offers at one moment. Pure: an overview in, items out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exlab_wizard.domain.headline import Overview, headline
from exlab_wizard.domain.quit import Phase

OPEN: Final = "Open"
PAUSE: Final = "Pause syncing"
GO_ON: Final = "Go on syncing"
KEEP_RUNNING: Final = "Keep running"
QUIT: Final = "Quit ExLab-Wizard"
FORCE: Final = "Force quit: it resumes at the next launch"


class Act(StrEnum):
    """What choosing an item asks for."""

    OPEN = "open"
    PAUSE = "pause"
    GO_ON = "go_on"
    KEEP_RUNNING = "keep_running"
    QUIT = "quit"
    """Chosen again while the question of a quit stands it means force."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the menu; without an `act` it is the line between two groups."""

    act: Act | None
    text: str = ""
    enabled: bool = True
    default: bool = False
    """What a double click, or a click where no menu opens, does."""


SEPARATOR: Final = Item(None)


def items(overview: Overview) -> tuple[Item, ...]:
    """Return the menu from top to bottom.

    The line that says how things stand opens the window, where more is said. A quit that is under way cannot be begun
    again, but its question can be answered here.
    """
    top = (Item(Act.OPEN, OPEN, default=True), Item(Act.OPEN, headline(overview)), SEPARATOR)
    match overview.phase:
        case Phase.RUNNING:
            pause = Item(Act.GO_ON, GO_ON) if overview.paused else Item(Act.PAUSE, PAUSE)
            return (*top, pause, SEPARATOR, Item(Act.QUIT, QUIT))
        case Phase.ASKING:
            return (*top, Item(Act.KEEP_RUNNING, KEEP_RUNNING), Item(Act.QUIT, FORCE))
        case _:
            return (*top, Item(Act.QUIT, QUIT, enabled=False))

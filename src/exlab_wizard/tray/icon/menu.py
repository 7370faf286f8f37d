"""The icon at one moment: the state of this launch, and the menu for it, which is pure: a state in, items out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exlab_wizard.domain.clock import Clock
from exlab_wizard.domain.headline import HeadlineState, headline
from exlab_wizard.domain.quit import Phase
from exlab_wizard.errors import StoreError
from exlab_wizard.process.safe_mode import SafeMode
from exlab_wizard.process.supervisor import Supervisor
from exlab_wizard.store.store import Store

OPEN: Final = "Open"
PAUSE: Final = "Pause syncing"
RESUME: Final = "Resume syncing"
KEEP_RUNNING: Final = "Keep running"
QUIT: Final = "Quit ExLab-Wizard"
FORCE: Final = "Force quit (resumes at the next launch)"
UNREADABLE: Final = "The database cannot be read; check the log"


class Act(StrEnum):
    """What an item does."""

    OPEN = "open"
    PAUSE = "pause"
    RESUME = "resume"
    KEEP_RUNNING = "keep_running"
    QUIT = "quit"
    """While the quit question is open it forces."""


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


def read_headline(  # noqa: PLR0913, PLR0917 - all that one line of text may be about
    store: Store, launch_id: int, clock: Clock, phase: Phase, supervisor: Supervisor, safe_mode: SafeMode
) -> HeadlineState:
    """Return the state of `launch_id` now; an unreadable database is a trouble to show, never an error."""
    if phase is Phase.STOPPED:
        return HeadlineState(phase=phase)  # the database may be closed by now
    try:
        summary = store.status.summary(launch_id, clock.now())
        unreachable = [(name, why) for name, why, _ in store.jobs.waiting_destinations()]
    except StoreError:
        return HeadlineState(phase=phase, safe_mode=safe_mode.active, trouble=UNREADABLE)
    dead = ", ".join(component.name for component in supervisor.dead())
    return HeadlineState(
        phase=phase,
        paused=summary.paused,
        safe_mode=safe_mode.active,
        sessions=summary.sessions,
        in_flight=summary.in_flight,
        percent=100 * summary.moved / summary.total if summary.total else None,
        left_s=summary.left_s,
        queued=summary.queued,
        unreachable=tuple(unreachable),
        failed=summary.failed,
        trouble=f"Needs a restart: {dead} ended unexpectedly" if dead else "",
    )

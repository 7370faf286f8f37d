"""Reads the state of this launch for the icon: its picture, its menu and its one line of text."""

from __future__ import annotations

from typing import Final

from exlab_wizard.domain.clock import Clock
from exlab_wizard.domain.headline import HeadlineState
from exlab_wizard.domain.quit import Phase
from exlab_wizard.errors import StoreError
from exlab_wizard.process.safe_mode import SafeMode
from exlab_wizard.process.supervisor import Supervisor
from exlab_wizard.store.store import Store

UNREADABLE: Final = "The database cannot be read, check the log"


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

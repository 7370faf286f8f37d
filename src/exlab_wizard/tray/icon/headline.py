"""Reads the state of this launch for the icon: its picture, its menu and its one line of text."""

from __future__ import annotations

from typing import Final, Protocol

from exlab_wizard.domain.clock import Clock
from exlab_wizard.domain.headline import HeadlineState
from exlab_wizard.domain.quit import Phase
from exlab_wizard.errors import StoreError
from exlab_wizard.process.safe_mode import SafeMode
from exlab_wizard.process.supervisor import Supervisor
from exlab_wizard.store.store import Store

UNREADABLE: Final = "The database cannot be read, check the log"


class Phased(Protocol):
    """Knows whether a quit is under way."""

    @property
    def phase(self) -> Phase:
        """Where the application stands."""


class HeadlineReader:
    """Reads one launch. Thread-safe, as its parts are."""

    def __init__(  # noqa: PLR0913, PLR0917 - wired once, in the assembly
        self, store: Store, launch_id: int, clock: Clock, quitting: Phased, supervisor: Supervisor, safe_mode: SafeMode
    ) -> None:
        """Read `launch_id` in `store`; phase and dead parts come from this process."""
        self._store = store
        self._launch_id = launch_id
        self._clock = clock
        self._quitting = quitting
        self._supervisor = supervisor
        self._safe_mode = safe_mode

    def read(self) -> HeadlineState:
        """Return the state now; an unreadable database is a trouble to show, never an error."""
        phase = self._quitting.phase
        if phase is Phase.STOPPED:
            return HeadlineState(phase=phase)  # the database may be closed by now
        try:
            summary = self._store.status.summary(self._launch_id, self._clock.now())
            unreachable = [(name, why) for name, why, _ in self._store.jobs.waiting_destinations()]
        except StoreError:
            return HeadlineState(phase=phase, safe_mode=self._safe_mode.active, trouble=UNREADABLE)
        return HeadlineState(
            phase=phase,
            paused=summary.paused,
            safe_mode=self._safe_mode.active,
            sessions=summary.sessions,
            in_flight=summary.in_flight,
            percent=100 * summary.moved / summary.total if summary.total else None,
            left_s=summary.left_s,
            queued=summary.queued,
            unreachable=tuple(unreachable),
            failed=summary.failed,
            trouble=_dead(self._supervisor),
        )


def _dead(supervisor: Supervisor) -> str:
    names = [component.name for component in supervisor.dead()]
    return f"Needs a restart: {', '.join(names)} ended unexpectedly" if names else ""

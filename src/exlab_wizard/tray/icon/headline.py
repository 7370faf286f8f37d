"""Reads one snapshot of this launch, for everything that says in one line how things stand."""

from __future__ import annotations

from typing import Final, Protocol

from exlab_wizard.domain.clock import Clock
from exlab_wizard.domain.headline import Overview
from exlab_wizard.domain.quit import Phase
from exlab_wizard.errors import StoreError
from exlab_wizard.process.safe_mode import LaunchHealth
from exlab_wizard.process.supervisor import Components
from exlab_wizard.store.store import Store

UNREADABLE: Final = "The database cannot be read, see the log"


class Phased(Protocol):
    """Whoever knows whether a quit is under way."""

    @property
    def phase(self) -> Phase:
        """Where the application stands."""


class Overviews:
    """The snapshots of one launch. Thread-safe, as its parts are."""

    def __init__(  # noqa: PLR0913, PLR0917 - wired once, in the assembly
        self, store: Store, launch_id: int, clock: Clock, quitting: Phased, components: Components, health: LaunchHealth
    ) -> None:
        """Read `launch_id` in `store`; phase and dead parts come from this process."""
        self._store = store
        self._launch_id = launch_id
        self._clock = clock
        self._quitting = quitting
        self._components = components
        self._health = health

    def look(self) -> Overview:
        """Return how things stand now; a database that cannot be read is a trouble to be shown, never an error."""
        phase = self._quitting.phase
        if phase is Phase.STOPPED:
            return Overview(phase=phase)  # the database may be closed by now
        try:
            summary = self._store.status.summary(self._launch_id, self._clock.now())
            unreachable = [(name, why) for name, why, _ in self._store.jobs.waiting_destinations()]
        except StoreError:
            return Overview(phase=phase, safe_mode=self._health.safe_mode, trouble=UNREADABLE)
        return Overview(
            phase=phase,
            paused=summary.paused,
            safe_mode=self._health.safe_mode,
            sessions=summary.sessions,
            in_flight=summary.in_flight,
            percent=100 * summary.moved / summary.total if summary.total else None,
            left_s=summary.left_s,
            queued=summary.queued,
            unreachable=tuple(unreachable),
            failed=summary.failed,
            trouble=_dead(self._components),
        )


def _dead(components: Components) -> str:
    names = [component.name for component in components.dead()]
    return f"Needs a restart: {', '.join(names)} ended unexpectedly" if names else ""

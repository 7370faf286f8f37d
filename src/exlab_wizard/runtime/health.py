"""Whether this launch got anywhere. Three crashes in a row that did not mean that the start itself is what kills.

Unless a job was in flight at the last of them: then the job is the suspect, and its own count of crashes finds it.
"""

from __future__ import annotations

from typing import Final

from exlab_wizard.domain.clock import Clock
from exlab_wizard.store.launches import Recovery
from exlab_wizard.store.store import Store

UNHEALTHY_LAUNCHES: Final = 3


class Health:
    """A launch becomes healthy with its first durable checkpoint, or by living for some seconds."""

    def __init__(self, store: Store, launch_id: int, clock: Clock) -> None:
        """Note it for `launch_id`."""
        self._store = store
        self._launch_id = launch_id
        self._clock = clock
        self._noted = False

    def reached(self) -> None:
        """Note once that this launch is healthy."""
        if not self._noted:
            self._store.launches.healthy(self._launch_id, self._clock.now())
            self._noted = True

    def start_is_deadly(self, recovery: Recovery) -> bool:
        """Return whether the launches before this one all died young, the last of them with nothing in flight."""
        if recovery.cut_off or recovery.crash_loops:
            return False
        return self._store.launches.unhealthy_streak(self._launch_id, UNHEALTHY_LAUNCHES)

"""Tracks whether this launch became healthy. After three launches in a row that did not, the start itself is at fault.

Unless a job was in flight at the last of them: then the job is the suspect, and its own count of crashes finds it.
"""

from __future__ import annotations

import logging
from typing import Final

from exlab_wizard.domain.clock import Clock
from exlab_wizard.domain.text.amounts import duration
from exlab_wizard.store.queue.launches import Recovery
from exlab_wizard.store.store import Store

log = logging.getLogger(__name__)

UNHEALTHY_LAUNCHES: Final = 3
HEALTHY_AFTER_SECONDS: Final = 5.0
SAFE_MODE_SECONDS: Final = 600.0
"""How long a launch in safe mode stays paused without an operator. If the cause persists, one more launch crashes."""


class SafeMode:
    """A launch becomes healthy with its first durable checkpoint, or by living for some seconds.

    While safe mode is `active`, the launch is paused because those before it crashed at once.
    """

    def __init__(self, store: Store, launch_id: int, clock: Clock) -> None:
        self._store = store
        self._launch_id = launch_id
        self._clock = clock
        self._began = clock.monotonic()
        self._noted = False
        self.active = False

    def healthy(self) -> None:
        """Note once that this launch is healthy."""
        if not self._noted:
            self._store.launches.mark_healthy(self._launch_id, self._clock.now())
            self._noted = True

    def begin(self, recovery: Recovery) -> None:
        """Pause this launch if those before it all crashed early, the last of them with nothing in flight.

        Raises:
            StoreError: the database cannot be read or written.
        """
        suspects = recovery.cut_off or recovery.crash_loops
        if not suspects and self._store.launches.unhealthy_streak(self._launch_id, UNHEALTHY_LAUNCHES):
            self._store.launches.pause(self._launch_id, self._clock.now())
            self.active = True

    def poll(self, *, paused: bool) -> bool:
        """Track the age of this launch; return whether safe mode has ended since the last poll.

        Safe mode ends when the operator resumes, or automatically after `SAFE_MODE_SECONDS`.
        """
        age = self._clock.monotonic() - self._began
        if age >= HEALTHY_AFTER_SECONDS:
            self.healthy()
        if not self.active or (paused and age < SAFE_MODE_SECONDS):
            return False
        if paused:
            log.warning("safe mode ends after %s without a crash: syncing begins", duration(age))
            self._store.launches.resume(self._launch_id)
        self.active = False
        return True

"""Wall time that does not jump before the leases are shifted to match.

When the clock is set, or the machine wakes up, every lease seems expired for up to a second: until the watchdog has
moved it. A drain or a heartbeat in that second must not see this, so both use a clock that ticks as before until the
watchdog lets it follow.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from exlab_wizard.domain.clock import Clock, clock_step


class SteadyClock:
    """A `Clock` over the machine's own. Under the lock `still`, leases and clock are of the same moment."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._followed = clock.now(), clock.monotonic()
        self.still = threading.Lock()

    def now(self) -> datetime:
        """Return the wall time that was followed last, plus the time since then on the monotonic clock."""
        wall, monotonic = self._followed
        return wall + timedelta(seconds=self._clock.monotonic() - monotonic)

    def monotonic(self) -> float:
        """Return seconds that never go back; their zero has no meaning."""
        return self._clock.monotonic()

    def step(self) -> timedelta:
        """Return by how much the machine's clock was set since it was last followed, or zero."""
        wall, monotonic = self._followed
        return clock_step(self._clock.now() - wall, self._clock.monotonic() - monotonic)

    def follow(self) -> None:
        """Adopt the machine's time; by now the leases have moved."""
        self._followed = self._clock.now(), self._clock.monotonic()

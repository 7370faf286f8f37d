"""One bandwidth limit per destination, shared by all workers and following the settings while transfers run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from exlab_wizard.domain.bandwidth import limit_at
from exlab_wizard.settings import SettingsFile
from exlab_wizard.transfer.copy.bandwidth import TokenBucket


class DestinationLimits:
    """The token buckets of all destinations."""

    def __init__(self, settings: SettingsFile) -> None:
        """Take the limits from `settings` each time they are needed."""
        self._settings = settings
        self._buckets: dict[str, TokenBucket] = {}
        self._lock = threading.Lock()

    def bucket(self, destination: str) -> TokenBucket:
        """Return the one bucket of `destination`."""
        with self._lock:
            if destination not in self._buckets:
                self._buckets[destination] = TokenBucket(self._limit_of(destination))
            return self._buckets[destination]

    def _limit_of(self, destination: str) -> Callable[[], float | None]:
        def limit() -> float | None:
            settings = self._settings.current.destinations.get(destination)
            if settings is None:
                return None
            # The schedule is in the operator's own hours, so it is local time that counts here.
            return limit_at(settings.limit_bytes_s, settings.windows, datetime.now().astimezone())

        return limit

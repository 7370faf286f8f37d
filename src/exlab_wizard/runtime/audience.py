"""Who could answer a question over HTTP: whoever listens to the events now, or looked at the quit a moment ago."""

from __future__ import annotations

import threading
from typing import Final

from exlab_wizard.domain.clock import Clock

ATTENTION_SECONDS: Final = 5.0
"""A client that looks at the quit at least so often can be asked."""


class Audience:
    """Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        """Begin with nobody there."""
        self._clock = clock
        self._lock = threading.Lock()
        self._listeners = 0
        self._seen_until = float("-inf")

    @property
    def listeners(self) -> int:
        """How many event streams are open."""
        return self._listeners

    @property
    def present(self) -> bool:
        """Whether somebody would see a question."""
        return self._listeners > 0 or self._clock.monotonic() < self._seen_until

    def seen(self) -> None:
        """Note that somebody looks now."""
        self._seen_until = self._clock.monotonic() + ATTENTION_SECONDS

    def enter(self) -> None:
        """Note that an event stream was opened."""
        with self._lock:
            self._listeners += 1

    def leave(self) -> None:
        """Note that one was closed; its reader may come back."""
        with self._lock:
            self._listeners -= 1
        self.seen()

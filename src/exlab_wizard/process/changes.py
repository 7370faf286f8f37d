"""Notifies parts of this process that the state may have changed; without subscribers that costs next to nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Changes:
    """Made first at launch, so that notifiers and subscribers need not know each other. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscribers: tuple[Callable[[], None], ...] = ()

    def subscribe(self, notify: Callable[[], None]) -> None:
        """Let `notify` be called at each change; it must return at once. Subscribed twice, it is still called once."""
        with self._lock:
            self._subscribers = (*self._subscribers, notify)

    def unsubscribe(self, notify: Callable[[], None]) -> None:
        """Take back one subscription of `notify`."""
        with self._lock:
            at = self._subscribers.index(notify)
            self._subscribers = self._subscribers[:at] + self._subscribers[at + 1 :]

    def notify(self) -> None:
        """Tell all subscribers that something may have changed. From any thread."""
        for notify in dict.fromkeys(self._subscribers):
            notify()

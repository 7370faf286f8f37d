"""Which parts of the running application live: one list, for its health, the icon and `doctor`.

A component should live as long as the application. One that ended all the same is said once in the log, and started
again where that can be done; nothing here ever ends anything.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

log = logging.getLogger(__name__)

LONGEST_BACKOFF_SECONDS: Final = 60.0
"""Between two starts of a part that dies again and again: what it died of first must stay in the log."""


@dataclass(frozen=True, slots=True)
class Supervised:
    """A part with threads of its own. `alive` is true before its start, too, and when it was told to end.

    `loss` says what does not work without it and what to do; `restart` starts it again, where that is possible.
    """

    name: str
    alive: Callable[[], bool]
    loss: str
    restart: Callable[[], None] | None = None


class Supervisor:
    """All of them. Thread-safe."""

    def __init__(self, changed: Callable[[], None], monotonic: Callable[[], float] = time.monotonic) -> None:
        """Know of none yet; `changed` is called when one has ended, or lives again."""
        self._changed = changed
        self._monotonic = monotonic
        self._restart_after: dict[str, float] = {}
        self._lock = threading.Lock()
        self._known: tuple[Supervised, ...] = ()
        self._said: set[str] = set()
        self._restarts: Counter[str] = Counter()

    def add(self, component: Supervised) -> None:
        """Watch over one more."""
        with self._lock:
            self._known = (*self._known, component)

    def dead(self) -> list[Supervised]:
        """Return those that have ended, as of now."""
        return [component for component in self._known if not _lives(component)]

    def troubles(self) -> dict[str, str]:
        """Return a sentence for each component that is dead or was; by name, empty for those that live as ever."""
        dead = {component.name for component in self.dead()}
        return {component.name: self._trouble(component, dead) for component in self._known}

    def poll(self) -> None:
        """Say which have ended since the last look, and start those again that can be. Costs next to nothing."""
        for component in self.dead():
            with self._lock:
                new = component.name not in self._said
                self._said.add(component.name)
            if new:
                log.error("%s has ended by an error that nobody foresaw: %s", component.name, component.loss)
            if component.restart is not None:
                self._restart(component, component.restart)
            if new:
                self._changed()

    def _restart(self, component: Supervised, restart: Callable[[], None]) -> None:
        now = self._monotonic()
        if now < self._restart_after.get(component.name, now):
            return
        try:
            restart()
        except Exception as error:  # boundary: what cannot be started now is tried at the next look
            log.debug("%s cannot be started again yet: %s", component.name, error)
            return
        log.warning("%s was started again", component.name)
        with self._lock:
            self._restarts[component.name] += 1
            pause = min(LONGEST_BACKOFF_SECONDS, 2.0 ** self._restarts[component.name])
            self._restart_after[component.name] = now + pause
            self._said.discard(component.name)

    def _trouble(self, component: Supervised, dead: set[str]) -> str:
        if component.name in dead:
            return f"has ended by an error that nobody foresaw: {component.loss}"
        times = self._restarts[component.name]
        return f"has ended unexpectedly and was started again ({times} times); see the log" if times else ""


def _lives(component: Supervised) -> bool:
    try:
        return component.alive()
    except Exception:  # boundary: who cannot even be asked is not well
        return False


class Service(Protocol):
    """Something with threads of its own."""

    def start(self) -> None:
        """Begin; returns when it is at work."""

    def stop(self) -> None:
        """End; returns only when no thread of it is left. Harmless before `start` and the second time."""

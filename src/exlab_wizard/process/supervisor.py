"""Supervises the parts of the running application: one list, for its health, the icon and `doctor`.

A part should live as long as the application. One that crashed is logged once, and restarted if that is possible;
nothing here ever ends anything.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from exlab_wizard.domain.text.amounts import times

log = logging.getLogger(__name__)

LONGEST_BACKOFF_SECONDS: Final = 60.0
"""Between two restarts of a part that keeps crashing: the reason of the first crash must stay in the log."""


@dataclass(frozen=True, slots=True)
class Supervised:
    """A part with threads of its own. `alive` is also true before its start, and after it was told to stop.

    `loss` says what does not work without it, and what to do; `restart` starts it again, if that is possible.
    """

    name: str
    alive: Callable[[], bool]
    loss: str
    restart: Callable[[], None] | None = None

    @property
    def crash(self) -> str:
        """The sentence about its crash, without its name."""
        return f"crashed unexpectedly: {'' if self.restart is None else 'until restarted, '}{self.loss}"


class Supervisor:
    """Watches all parts; `changed` is called when one has crashed or was restarted. Thread-safe."""

    def __init__(self, changed: Callable[[], None], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._changed = changed
        self._monotonic = monotonic
        self._restart_after: dict[str, float] = {}
        self._lock = threading.Lock()
        self._known: tuple[Supervised, ...] = ()
        self._logged: set[str] = set()
        self._restarts: Counter[str] = Counter()

    def add(self, *parts: Supervised) -> None:
        """Watch these parts too."""
        with self._lock:
            self._known = (*self._known, *parts)

    def dead(self) -> list[Supervised]:
        """Return the parts that are dead now."""
        return [part for part in self._known if not _lives(part)]

    def troubles(self) -> dict[str, str]:
        """Return, by name, a sentence for each part that crashed since the launch; empty for the others."""
        return {part.name: self._trouble(part) for part in self._known}

    def poll(self) -> None:
        """Log the parts that crashed since the last poll, and restart those that can be. Costs next to nothing."""
        for part in self.dead():
            with self._lock:
                new = part.name not in self._logged
                self._logged.add(part.name)
            if new:
                log.error("%s %s", part.name, part.crash)
            if part.restart is not None:
                self._restart(part, part.restart)
            if new:
                self._changed()

    def _restart(self, part: Supervised, restart: Callable[[], None]) -> None:
        now = self._monotonic()
        if now < self._restart_after.get(part.name, now):
            return
        try:
            restart()
        except Exception as error:  # boundary: a restart that fails is tried again at the next poll
            log.debug("%s cannot be restarted yet: %s", part.name, error)
            return
        log.warning("%s was restarted", part.name)
        with self._lock:
            self._restarts[part.name] += 1
            pause = min(LONGEST_BACKOFF_SECONDS, 2.0 ** self._restarts[part.name])
            self._restart_after[part.name] = now + pause
            self._logged.discard(part.name)

    def _trouble(self, part: Supervised) -> str:
        if not _lives(part):
            return part.crash
        restarts = self._restarts[part.name]
        return f"crashed unexpectedly and was restarted {times(restarts)}; check the log" if restarts else ""


def _lives(part: Supervised) -> bool:
    try:
        return part.alive()
    except Exception:  # boundary: a part that cannot even be asked is not well
        return False


class Service(Protocol):
    """Something with threads of its own."""

    def start(self) -> None:
        """Begin; returns when it works."""

    def stop(self) -> None:
        """Stop; returns when no thread of it is left. Harmless before `start` and the second time."""

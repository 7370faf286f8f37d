"""Tells the operator, by notification, what happened since the last look at the database, whichever process did it.

A look costs two short queries; it follows a change, at most one a second, or a moment at which something becomes worth
saying. While the window has the operator's eyes nothing is said: it shows the same.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final, Protocol

from exlab_wizard.desktop.notifications.messages import FAILED, Failures, Notice, Outages, resumed
from exlab_wizard.desktop.notifications.port import Heard, Kind
from exlab_wizard.domain.clock import Clock
from exlab_wizard.process.log_once import Complaint
from exlab_wizard.process.threads import LastingThread
from exlab_wizard.store.queue.launches import Recovery
from exlab_wizard.store.store import Store

log = logging.getLogger(__name__)

POLL_INTERVAL_SECONDS: Final = 1.0
STOP_SECONDS: Final = 0.5


class Board(Protocol):
    """Where notifications are shown, as the herald needs it."""

    def show(self, notice: Notice, tell: Callable[[Heard], None]) -> None:
        """Show it, in the place of the one with its key; `tell` hears of it in another thread."""


class Herald:
    """A service: one thread, which sleeps until something changes."""

    def __init__(  # noqa: PLR0913 - wired once, in the assembly
        self,
        store: Store,
        board: Board,
        recovery: Recovery,
        clock: Clock,
        *,
        quiet: Callable[[], bool],
        offline_after_s: Callable[[], float],
        over: Callable[[], bool],
    ) -> None:
        """Tell on `board`, unless it is to be `quiet`, what happens in `store` from now on, and the recovery.

        Once the quit is `over` the database is not looked at any more.
        """
        self._store = store
        self._board = board
        self._recovery = recovery
        self._clock = clock
        self._quiet = quiet
        self._offline_after_s = offline_after_s
        self._over = over
        self._failures = Failures()
        self._outages = Outages()
        # Here and not in the thread: workers begin before it, and may fail at once.
        self._move = store.events.newest_event()
        self._looked_at = False
        self._changed = threading.Event()
        self._thread = LastingThread("herald", self._loop)
        self._rest = threading.Event()
        self._complaint = Complaint(log)

    @property
    def alive(self) -> bool:
        """Whether its thread runs, has not begun, or was told to end."""
        return self._thread.alive

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End; returns when the thread has ended."""
        self._rest.set()
        self._changed.set()
        self._thread.join(STOP_SECONDS)

    def changed(self) -> None:
        """Say that something may have changed. Callable from any thread, for next to nothing."""
        self._changed.set()

    def look(self) -> float | None:
        """Say what there is to say, and return after how many seconds to look again though nothing changes.

        Raises:
            StoreError: the database cannot be read.
        """
        now, quiet, after_s = self._clock.monotonic(), self._quiet(), self._offline_after_s()
        failures, self._move = self._store.events.failures(self._move)
        if self._looked_at or quiet:
            self._looked_at = False
            self._failures.seen()
        if not quiet:
            self._failures.add(failures, now)
        held = self._store.events.waiting_for_destination()
        notices = self._outages.look(held, self._move, now, after_s, quiet=quiet)
        for name, since in self._outages.maybe_over(now):
            arrived, sent = self._store.events.has_arrived(name, since), self._store.events.bytes_sent(name)
            notices += self._outages.back(name, arrived=arrived, sent=sent)
        failed = self._failures.notice(now)
        for notice in [*([failed] if failed else []), *notices]:
            self._say(notice)
        due = min(self._failures.due, self._outages.due(now, after_s))
        return None if due == float("inf") else max(0.0, due - now)

    def _loop(self) -> None:
        began = resumed(self._recovery)
        if began is not None and not self._quiet():
            self._say(began)
        again: float | None = 0.0
        while not self._rest.is_set():
            self._changed.wait(again)
            self._changed.clear()
            if self._over():
                self._rest.wait()
            if self._rest.is_set():
                break
            try:
                again = self.look()
                self._complaint.is_over()
            except Exception as error:  # boundary: a look that fails is no reason not to look again
                self._complaint.about("looking for what is to be notified", error)
                again = POLL_INTERVAL_SECONDS
            self._rest.wait(POLL_INTERVAL_SECONDS)
        self._store.database.release()

    def _say(self, notice: Notice) -> None:
        self._board.show(notice, self._seen if notice.key == FAILED else _nothing)

    def _seen(self, heard: Heard) -> None:
        if heard.kind in (Kind.CLICKED, Kind.DISMISSED):
            self._looked_at = True


def _nothing(_heard: Heard) -> None:
    """It matters to nobody."""

"""Notifies the operator of what happened in the database since the last poll, whichever process did it.

A poll costs two short queries; it follows a change, at most one a second, or the moment when a notification becomes
due. While the operator works in the window there are no notifications: the window shows the same.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from exlab_wizard.desktop.notifications.messages import FAILED, Notice, Outages, UnseenFailures, resumed
from exlab_wizard.desktop.notifications.port import Reaction, ReactionKind
from exlab_wizard.domain.clock import Clock
from exlab_wizard.process.logs import LogOnce
from exlab_wizard.process.threads import RestartableThread
from exlab_wizard.store.queue.launches import Recovery
from exlab_wizard.store.store import Store

log = logging.getLogger(__name__)

POLL_INTERVAL_SECONDS: Final = 1.0
STOP_TIMEOUT_SECONDS: Final = 0.5


class NotificationWatcher(RestartableThread):
    """A service: one thread, which sleeps until something changes.

    It calls `show`, except while `quiet`, for what happens in `store` from now on, and for the recovery, with a notice
    and what to call, from any thread, when the operator reacts to it. Once the quit is `over` the database is no longer
    read.
    """

    def __init__(  # noqa: PLR0913 - wired once, in the assembly
        self,
        store: Store,
        show: Callable[[Notice, Callable[[Reaction], None]], None],
        recovery: Recovery,
        clock: Clock,
        *,
        quiet: Callable[[], bool],
        offline_after_s: Callable[[], float],
        over: Callable[[], bool],
    ) -> None:
        super().__init__("notification-watcher", self._loop)
        self._store = store
        self._show = show
        self._recovery = recovery
        self._clock = clock
        self._quiet = quiet
        self._offline_after_s = offline_after_s
        self._over = over
        self._failures = UnseenFailures()
        self._outages = Outages()
        # Here and not in the thread: workers begin before it, and may fail at once.
        self._move = store.events.newest().event
        self._acknowledged = False
        self._changed = threading.Event()
        self._rest = threading.Event()
        self._log_once = LogOnce(log)

    def stop(self) -> None:
        """End; returns when the thread has ended."""
        self._rest.set()
        self._changed.set()
        self.join(STOP_TIMEOUT_SECONDS)

    def changed(self) -> None:
        """Note that something may have changed. From any thread; costs next to nothing."""
        self._changed.set()

    def poll(self) -> float | None:
        """Show what is due, and return after how many seconds to poll again even if nothing changes.

        Raises:
            StoreError: the database cannot be read.
        """
        now, quiet, after_s = self._clock.monotonic(), self._quiet(), self._offline_after_s()
        failures, self._move = self._store.events.failures(self._move)
        if self._acknowledged or quiet:
            self._acknowledged = False
            self._failures.seen()
        if not quiet:
            self._failures.add(failures, now)
        waiting = self._store.events.waiting_for_destination()
        notices = self._outages.poll(waiting, self._move, now, after_s, quiet=quiet)
        for name, since in self._outages.maybe_over(now):
            arrived, sent = self._store.events.has_arrived(name, since), self._store.events.bytes_sent(name)
            notices += self._outages.back(name, arrived=arrived, sent=sent)
        failed = self._failures.notice(now)
        for notice in [*([failed] if failed else []), *notices]:
            self._notify(notice)
        due = min(self._failures.due, self._outages.due(now, after_s))
        return None if due == float("inf") else max(0.0, due - now)

    def _loop(self) -> None:
        began = resumed(self._recovery)
        if began is not None and not self._quiet():
            self._notify(began)
        pause: float | None = 0.0
        while not self._rest.is_set():
            self._changed.wait(pause)
            self._changed.clear()
            if self._over():
                self._rest.wait()
            if self._rest.is_set():
                break
            try:
                pause = self.poll()
                self._log_once.reset()
            except Exception as error:  # boundary: a poll that fails is no reason not to poll again
                self._log_once.report("cannot read what to notify", error)
                pause = POLL_INTERVAL_SECONDS
            self._rest.wait(POLL_INTERVAL_SECONDS)
        self._store.database.release()

    def _notify(self, notice: Notice) -> None:
        self._show(notice, self._seen if notice.key == FAILED else lambda _: None)

    def _seen(self, reaction: Reaction) -> None:
        if reaction.kind in (ReactionKind.CLICKED, ReactionKind.DISMISSED):
            self._acknowledged = True

"""The watchdog: one thread that notices what others commit, keeps leases true to the clock, and watches for stalls.

It polls `PRAGMA data_version` four times a second, some 20 microseconds each; nothing else happens while nothing
changes. No error ends it: a failure is logged once and retried at the next poll.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from exlab_wizard.errors import SettingsError
from exlab_wizard.process.logs import LogOnce
from exlab_wizard.process.safe_mode import SafeMode
from exlab_wizard.process.steady_clock import SteadyClock
from exlab_wizard.process.threads import RestartableThread
from exlab_wizard.settings import SettingsFile
from exlab_wizard.store.queue.quits import PendingQuit
from exlab_wizard.store.store import Store
from exlab_wizard.workers.pool import WorkerPool

log = logging.getLogger(__name__)

POLL_INTERVAL_SECONDS: Final = 0.25
CHORES_INTERVAL_SECONDS: Final = 1.0


class Watchdog(RestartableThread):
    """A service over the database, the settings file and the worker pool.

    `quit_asked` gets the undecided quits of this launch; `changed` is called when a drain may have ended.
    """

    def __init__(  # noqa: PLR0913 - wired once, in the assembly
        self,
        store: Store,
        settings: SettingsFile,
        workers: WorkerPool,
        launch_id: int,
        clock: SteadyClock,
        *,
        safe_mode: SafeMode,
        quit_asked: Callable[[list[PendingQuit]], None],
        changed: Callable[[], None],
    ) -> None:
        super().__init__("watchdog", self._loop)
        self._store, self._settings, self._workers = store, settings, workers
        self._launch_id, self._clock, self._safe_mode = launch_id, clock, safe_mode
        self._quit_asked, self._changed = quit_asked, changed
        self._stop = threading.Event()
        self._version: int | None = None
        self._paused = False
        self._well_at = clock.monotonic()
        self._log_once = LogOnce(log)

    def stop(self) -> None:
        """Return when the thread has ended."""
        self._stop.set()
        self.join(2.0)

    @property
    def silent_s(self) -> float:
        """Seconds since the last poll without an error; more than a few mean that it is stuck or failing."""
        return self._clock.monotonic() - self._well_at

    def _loop(self) -> None:
        chores_due = 0.0
        while not self._stop.wait(POLL_INTERVAL_SECONDS):
            try:
                self.poll()
                if self._clock.monotonic() >= chores_due:
                    chores_due = self._clock.monotonic() + CHORES_INTERVAL_SECONDS
                    self.chores()
                self._well_at = self._clock.monotonic()
                self._log_once.reset()
            except Exception as error:  # boundary: whatever is wrong with one poll, leases and stalls need the next
                self._log_once.report("the watchdog's poll failed", error)
        self._store.database.release()

    def poll(self) -> None:
        """Notice what this or another process has committed since the last poll."""
        version = self._store.database.data_version()
        if version == self._version:
            return
        self._workers.wake()
        self._workers.drop_lost_claims()
        self._paused = self._store.launches.is_paused(self._launch_id)
        if self._paused:
            self._workers.stop_for_pause()
        self._changed()
        quits = self._store.quits.undecided(self._launch_id)
        if quits:
            self._quit_asked(quits)
        # Last: what an error kept from being noticed is noticed at the next poll.
        self._version = version

    def chores(self) -> None:
        """Once a second: clock, leases, stalls, settings, health."""
        self._follow_clock()
        now = self._clock.now()
        first = self._store.sessions.next_expiry()
        if first is not None and first <= now and self._store.sessions.expire(now):
            self._changed()
        if self._store.jobs.promote(now):
            self._workers.wake()
        self._workers.give_up_stalled()
        self._workers.requeue_orphans()
        if self._paused:
            # A job that was claimed just before the pause may have begun only after the poll that saw the pause.
            self._workers.stop_for_pause()
        self._follow_settings()
        if self._safe_mode.poll(paused=self._paused):
            self._version = None  # what this thread commits itself does not show in `data_version`
        self._store.database.require_in_place()

    def _follow_clock(self) -> None:
        with self._clock.still:
            step = self._clock.step()
            if step:
                log.warning("the clock jumped by %+.1f s; leases and delays are shifted to match", step.total_seconds())
                self._store.sessions.move_clock(step)
            # Last: a step that could not be written is seen again, and nothing expires before.
            self._clock.follow()
        if step:
            self._workers.wake()

    def _follow_settings(self) -> None:
        if not self._settings.changed():
            return
        try:
            self._settings.read()
        except SettingsError as error:
            log.error("the changed settings cannot be used; the previous ones stay in effect: %s", error)  # noqa: TRY400 - no trace for a typo
        else:
            log.info("reloaded the settings from %s", self._settings.path)
            self._workers.wake()

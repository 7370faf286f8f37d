"""Maintenance: a check after a clean exit, one backup a day, and removing what cancelled jobs left on destinations.

A quit hardly waits for its thread: the next backup removes whatever an interrupted one leaves.
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from typing import Final

from exlab_wizard.domain.clock import Clock
from exlab_wizard.domain.text.amounts import size
from exlab_wizard.errors import TransferWaitError
from exlab_wizard.process.logs import LogOnce
from exlab_wizard.process.threads import RestartableThread
from exlab_wizard.settings import SettingsFile
from exlab_wizard.store.sqlite.database import WAL_LIMIT_BYTES
from exlab_wizard.store.store import Store
from exlab_wizard.store.upkeep import migration
from exlab_wizard.store.upkeep.backup import Backups
from exlab_wizard.transfer.destination.publish import remove_leftovers

log = logging.getLogger(__name__)

FIRST_POLL_DELAY_SECONDS: Final = 30.0
POLL_INTERVAL_SECONDS: Final = 600.0
STOP_TIMEOUT_SECONDS: Final = 0.2
BACKUP_EVERY: Final = timedelta(days=1)


class Maintenance(RestartableThread):
    """A service that works in quiet moments.

    `check` reads through the database once; a launch after an unclean exit has already done so.
    """

    def __init__(self, store: Store, backups: Backups, settings: SettingsFile, clock: Clock, *, check: bool) -> None:
        super().__init__("maintenance", self._loop)
        self._store, self._backups, self._settings, self._clock = store, backups, settings, clock
        self._check = check
        self._stop = threading.Event()

    def stop(self) -> None:
        """Request the end; a thread that is at work is left behind with its connection."""
        self._stop.set()
        self.join(STOP_TIMEOUT_SECONDS)

    def _loop(self) -> None:
        self._store.database.connections.leave_open()
        wait = FIRST_POLL_DELAY_SECONDS
        log_once = LogOnce(log)
        while not self._stop.wait(wait):
            wait = POLL_INTERVAL_SECONDS
            for act in (self.remove_partials, self.check_and_back_up, self.check_log_size):
                try:
                    act()
                except Exception as error:  # boundary: what fails at one poll may work at the next
                    log_once.report("maintenance failed", error)
        self._store.database.release()

    def remove_partials(self) -> None:
        """Remove partial copies of jobs that were cancelled or deleted; a failed job keeps its own, to resume from."""
        installation, is_over = self._store.launches.installation_id(), self._store.jobs.is_unwanted
        for name, destination in self._settings.current.destinations.items():
            try:
                removed = remove_leftovers(destination.folder, installation, is_over, destination.marker)
            except TransferWaitError:
                continue  # offline: the next poll may find it
            if removed:
                log.info("destination %s: removed the partial copies of cancelled or deleted jobs: %s", name, removed)

    def check_and_back_up(self) -> None:
        """Check once, back up if a day is over, and shrink the WAL; only while nothing is leased or in flight."""
        now = self._clock.now()
        if not self._store.drain.count(now).idle:
            return
        if self._check:
            self._check = False
            migration.quick_check(self._store.database)
        newest = self._backups.newest_time(now)
        if newest is None or now - newest >= BACKUP_EVERY:
            self._backups.create(self._store.database, now, label="daily")
        self._store.database.checkpoint("PASSIVE")

    def check_log_size(self) -> None:
        """Warn when another program keeps reading the database: meanwhile its log cannot shrink, and fills the disk."""
        database = self._store.database.path
        wal = database.with_name(f"{database.name}-wal")
        grown = wal.stat().st_size if wal.exists() else 0
        if grown > WAL_LIMIT_BYTES:
            log.warning(
                "the database's log has grown to %s because another program has been reading it for a long time. "
                "Close that program; the log then shrinks automatically.",
                size(grown),
            )

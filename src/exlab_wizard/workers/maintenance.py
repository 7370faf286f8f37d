"""Upkeep: the check after a clean end, one backup a day, and what cancelled jobs left on the destinations.

Its thread is hardly waited for: quitting is fast, and the next backup removes what one that is cut off leaves.
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from typing import Final

from exlab_wizard.domain.clock import Clock
from exlab_wizard.errors import TransferWaitError
from exlab_wizard.process.log_once import Complaint
from exlab_wizard.process.threads import LastingThread
from exlab_wizard.settings import SettingsFile
from exlab_wizard.store.sqlite.database import WAL_LIMIT_BYTES
from exlab_wizard.store.store import Store
from exlab_wizard.store.upkeep import migration
from exlab_wizard.store.upkeep.backup import Backups
from exlab_wizard.transfer.destination.partials import remove_leftovers

log = logging.getLogger(__name__)

FIRST_POLL_DELAY_SECONDS: Final = 30.0
POLL_INTERVAL_SECONDS: Final = 600.0
LEAVE_SECONDS: Final = 0.2
BACKUP_EVERY: Final = timedelta(days=1)


class Housekeeping:
    """A service that waits for quiet moments."""

    def __init__(self, store: Store, backups: Backups, settings: SettingsFile, clock: Clock, *, check: bool) -> None:
        """`check` reads through the database once; a launch after an unclean end has done so already."""
        self._store = store
        self._backups = backups
        self._settings = settings
        self._clock = clock
        self._check = check
        self._stop = threading.Event()
        self._thread = LastingThread("housekeeping", self._loop)

    def start(self) -> None:
        """Start waiting for a quiet moment, or wait again when the thread has died."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; one that is at work is left behind, with its connection."""
        self._stop.set()
        self._thread.join(LEAVE_SECONDS)

    @property
    def alive(self) -> bool:
        """Whether the thread is there, or need not be."""
        return self._thread.alive

    def _loop(self) -> None:
        self._store.database.leave_open()
        wait = FIRST_POLL_DELAY_SECONDS
        complaint = Complaint(log)
        while not self._stop.wait(wait):
            wait = POLL_INTERVAL_SECONDS
            for act in (self.sweep, self.look, self.measure):
                try:
                    act()
                except Exception as error:  # boundary: what one look meets, the next may not
                    complaint.about("upkeep", error)
        self._store.database.release()

    def sweep(self) -> None:
        """Remove partial copies of jobs that were cancelled or deleted; what failed keeps its own, to go on from."""
        installation, is_over = self._store.launches.installation_id(), self._store.jobs.is_unwanted
        for name, destination in self._settings.current.destinations.items():
            try:
                removed = remove_leftovers(destination.folder, installation, is_over, destination.marker)
            except TransferWaitError:
                continue  # offline: the next look may find it
            if removed:
                log.info("destination %s: removed the partial copies of jobs %s, which nobody wants", name, removed)

    def look(self) -> None:
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

    def measure(self) -> None:
        """Say when somebody reads the database without end: meanwhile its log cannot shrink, and fills the disk."""
        database = self._store.database.path
        wal = database.with_name(f"{database.name}-wal")
        size = wal.stat().st_size if wal.exists() else 0
        if size > WAL_LIMIT_BYTES:
            log.warning(
                "the log of the database has grown to %d MiB, because another program has been reading it for long. "
                "Close that program; the log shrinks by itself then.",
                size >> 20,
            )

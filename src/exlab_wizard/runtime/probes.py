"""Looks whether a destination that jobs wait for is back, or has room again, and makes those jobs due."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from pathlib import Path
from typing import Final

from exlab_wizard.domain.job import WaitReason
from exlab_wizard.errors import TransferWaitError
from exlab_wizard.settings import SettingsFile
from exlab_wizard.store.store import Store
from exlab_wizard.transfer.marker import probe

log = logging.getLogger(__name__)

PROBE_INTERVAL_SECONDS: Final = 1.0


class Probes:
    """Run by whichever worker is idle; one at a time."""

    def __init__(self, store: Store, settings: SettingsFile) -> None:
        """Find destinations in `settings`."""
        self._store = store
        self._settings = settings
        self._lock = threading.Lock()
        self._last = 0.0

    def look(self) -> float | None:
        """Release what can go on, and return after how many seconds to look again; None when nothing waits."""
        waiting = self._store.jobs.waiting_destinations()
        if not waiting:
            return None
        if self._lock.acquire(blocking=False):
            try:
                if time.monotonic() - self._last >= PROBE_INTERVAL_SECONDS:
                    for destination, reason, need in waiting:
                        if self._is_over(destination, reason, need):
                            log.info("destination %s: %s is over", destination, reason)
                            self._store.jobs.release(destination, reason)
                            self._last = 0.0
                            return 0.0
                    self._last = time.monotonic()
            finally:
                self._lock.release()
        return PROBE_INTERVAL_SECONDS

    def _is_over(self, destination: str, reason: WaitReason, need: int) -> bool:
        settings = self._settings.current.destinations.get(destination)
        if settings is None:
            return False
        try:
            probe(settings.folder)
            return reason is not WaitReason.DESTINATION_FULL or _free(settings.folder) > need
        except TransferWaitError:
            return False


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0

"""Probes whether a destination that jobs wait for is online again, or has room again, and makes those jobs due.

Each probe has a thread of its own: a share that hangs holds up neither a worker nor the probe of another share.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from exlab_wizard.domain.job import WaitReason
from exlab_wizard.errors import ExlabError, TransferWaitError
from exlab_wizard.process.threads import begin
from exlab_wizard.settings import SettingsFile
from exlab_wizard.store.store import Store
from exlab_wizard.transfer.destination.marker import probe

log = logging.getLogger(__name__)

PROBE_INTERVAL_SECONDS: Final = 1.0
FULL_RETRY_INTERVAL_SECONDS: Final = 30.0
"""Under a quota, free space may not be usable: after each attempt that such space caused, there is a pause."""


class DestinationProbes:
    """Idle workers poll it; `released` is called when jobs have become due."""

    def __init__(self, store: Store, settings: SettingsFile, released: Callable[[], None]) -> None:
        self._store, self._settings, self._released = store, settings, released
        self._lock = threading.Lock()
        self._threads: dict[tuple[str, WaitReason], threading.Thread] = {}
        self._next_at: dict[tuple[str, WaitReason], float] = {}

    def poll(self) -> float | None:
        """Start the probes that are due, and return after how many seconds to poll again; None: no job waits."""
        waiting = self._store.jobs.waiting_destinations()
        for destination, reason, need in waiting:
            self._start(destination, reason, need)
        return PROBE_INTERVAL_SECONDS if waiting else None

    def _start(self, destination: str, reason: WaitReason, need: int) -> None:
        now, key = time.monotonic(), (destination, reason)
        with self._lock:
            if now < self._next_at.get(key, now) or (key in self._threads and self._threads[key].is_alive()):
                return
            self._next_at[key] = now + PROBE_INTERVAL_SECONDS
            self._threads[key] = begin(f"probe-{destination}", partial(self._run, destination, reason, need))

    def _run(self, destination: str, reason: WaitReason, need: int) -> None:
        try:
            if self._is_over(destination, reason, need):
                log.info("destination %s: no longer %s", destination, reason.value.removeprefix("destination_"))
                self._store.jobs.release(destination, reason)
                if reason is WaitReason.DESTINATION_FULL:
                    with self._lock:
                        self._next_at[destination, reason] = time.monotonic() + FULL_RETRY_INTERVAL_SECONDS
                self._released()
        except ExlabError as error:
            log.warning("destination %s: %s", destination, error)
        finally:
            self._store.database.release()

    def _is_over(self, destination: str, reason: WaitReason, need: int) -> bool:
        settings = self._settings.current.destinations.get(destination)
        if settings is None:
            return False
        try:
            probe(settings.folder, settings.marker)
        except TransferWaitError:
            return False
        return reason is not WaitReason.DESTINATION_FULL or _free(settings.folder) > need


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0

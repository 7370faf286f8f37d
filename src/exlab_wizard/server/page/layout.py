"""What surrounds every page: how the quit stands, its question, whether syncing is paused, what happened last time."""

from __future__ import annotations

from dataclasses import replace

from exlab_wizard import __version__
from exlab_wizard.server.api.drain import drain_view
from exlab_wizard.server.auth.reconnect import Comebacks
from exlab_wizard.server.backend import Backend, shown
from exlab_wizard.store.reports.last_exit import Aftermath


class Surroundings:
    """Read anew for each page."""

    def __init__(self, backend: Backend, comebacks: Comebacks) -> None:
        """Read from `backend`; pages get the key by which they come back from `comebacks`."""
        self._backend = backend
        self.lists = backend.store.lists
        self._comebacks = comebacks
        self._newest_event = backend.progress.event
        self._seen = False

    def seen(self) -> None:
        """Note that somebody has read what happened last time; until the next launch it is not shown again."""
        self._seen = True

    def read(self) -> dict[str, object]:
        """Return the values that the layout needs.

        Raises:
            StoreError: the database cannot be read.
        """
        backend = self._backend
        launch = backend.store.launches.open_launch()
        return {
            "version": __version__,
            "launch_id": backend.launch_id,
            "page_key": self._comebacks.page_key(),
            "aftermath": None if self._seen else self._aftermath(),
            "drain": drain_view(backend),
            "paused_since": None if launch is None else launch.paused_since,
            "safe_mode": backend.health.safe_mode,
            "counts": backend.store.current.counts(),
        }

    def _aftermath(self) -> Aftermath | None:
        found = self._backend.store.aftermaths.of(self._backend.launch_id, self._newest_event)
        return None if found is None else replace(found, jobs=[shown(job) for job in found.jobs])

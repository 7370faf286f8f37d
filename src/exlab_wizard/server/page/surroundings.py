"""What surrounds every page: how the quit stands, its question, whether syncing is paused, what happened last time."""

from __future__ import annotations

from exlab_wizard import __version__
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.drain import drain_view


class Surroundings:
    """Read anew for each page."""

    def __init__(self, backend: Backend) -> None:
        """Read from `backend`."""
        self._backend = backend

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
            "drain": drain_view(backend),
            "paused_since": None if launch is None else launch.paused_since,
            "safe_mode": backend.safe_mode,
            "counts": backend.store.current.counts(),
        }

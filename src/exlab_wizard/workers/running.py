"""One transfer that a worker is at."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from exlab_wizard.store.queue.claims import ClaimedJob
from exlab_wizard.transfer.ports import Control


@dataclass(slots=True)
class Running:
    """A claimed job and how to talk to its transfer."""

    job: ClaimedJob
    control: Control
    ended: threading.Event = field(default_factory=threading.Event)
    left_transfer: bool = False

    def is_silent(self, since: float) -> bool:
        """Return whether its transfer moved nothing since then; one that waits for the database is no longer at it."""
        return not self.left_transfer and self.control.last_moved < since

"""The parts of the running application that the routes use; there are no globals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from exlab_wizard.domain.clock import Clock
from exlab_wizard.domain.quit import Phase, QuitEvent
from exlab_wizard.process.changes import Changes
from exlab_wizard.process.presence import Presence
from exlab_wizard.process.safe_mode import SafeMode
from exlab_wizard.process.supervisor import Supervisor
from exlab_wizard.process.window_request import WindowShown
from exlab_wizard.settings import SettingsFile
from exlab_wizard.store.reports.metrics import EventCounts
from exlab_wizard.store.store import Store
from exlab_wizard.workers.pool import WorkerPool
from exlab_wizard.workers.watchdog import Watchdog


class WindowControl(Protocol):
    """The window, as far as the API uses it."""

    @property
    def alive(self) -> bool:
        """Whether the operator has it open."""

    def show(self, page: str) -> WindowShown:
        """Open it or bring it to the front; may take seconds.

        Raises:
            NoWindowError: no window can be opened here.
        """


class QuitControl(Protocol):
    """The quit of this process, as far as the API uses it."""

    @property
    def phase(self) -> Phase:
        """The phase of the quit."""

    @property
    def deadline(self) -> float:
        """When the present window ends, on the monotonic clock; infinite without one."""

    def post(self, event: QuitEvent) -> None:
        """Submit an answer to the question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """The running application behind its API."""

    store: Store
    settings: SettingsFile
    state_dir: Path
    launch_id: int
    clock: Clock
    quit: QuitControl
    workers: WorkerPool
    watchdog: Watchdog
    presence: Presence
    changes: Changes
    supervisor: Supervisor
    progress: EventCounts
    window: WindowControl
    safe_mode: SafeMode

    def now(self) -> datetime:
        """Return wall time."""
        return self.clock.now()

    @property
    def shutting_down(self) -> bool:
        """Whether a quit is under way."""
        return self.quit.phase is not Phase.RUNNING

    def quit_deadline(self) -> datetime | None:
        """Return when the current window of a quit ends, as wall time; None where none runs."""
        if self.quit.phase not in (Phase.DRAINING, Phase.ASKING):
            return None
        left = self.quit.deadline - self.clock.monotonic()
        # While the question waits, its window may be over; then there is no deadline.
        return self.now() + timedelta(seconds=left) if 0 <= left < timedelta.max.total_seconds() else None

    def destinations(self) -> Mapping[str, Path]:
        """Return the configured destinations and their folders."""
        return {name: value.folder for name, value in self.settings.current.destinations.items()}

    def admitted(self) -> tuple[int, ...]:
        """Return the other accounts whose programs may use the API."""
        return self.settings.current.server.uids

"""The durable side of a quit: `launches.draining_since` is the gate, `quit_requests` the record."""

from __future__ import annotations

from exlab_wizard.crash_points import Point, reached
from exlab_wizard.domain.clock import Clock
from exlab_wizard.domain.quit import Blocker, DrainCount, QuitOutcome, QuitTrigger
from exlab_wizard.process.steady_clock import SteadyClock
from exlab_wizard.store.store import Store


class LaunchGate:
    """The gate of one launch."""

    def __init__(self, store: Store, launch_id: int, clock: Clock) -> None:
        self._store = store
        self._launch_id = launch_id
        self._clock = clock
        self._trigger = QuitTrigger.SIGNAL
        self.quit_id: int | None = None
        """The row of the quit under way; None until it is written."""

    def requested(self, trigger: QuitTrigger, quit_id: int | None = None) -> None:
        """Name the request that the record belongs to; without one it is made when the gate closes."""
        self._trigger = trigger
        self.quit_id = quit_id

    def close(self) -> None:
        """Let nothing be claimed or opened from this commit on."""
        self._store.launches.drain(self._launch_id, self._clock.now())
        reached(Point.QUIT_GATE_CLOSED)

    def open(self) -> None:
        """Let work begin again."""
        self._store.launches.reopen(self._launch_id)

    def begun(self, window_s: float, count: DrainCount | None) -> None:
        """Record what the quit found when it began."""
        if self.quit_id is None:
            self.quit_id = self._store.quits.request(self._launch_id, self._trigger, self._clock.now())
        sessions, jobs = (None, None) if count is None else (count.active_sessions, count.in_flight_jobs)
        self._store.quits.begin(self.quit_id, window_s, sessions, jobs)

    def asked(self) -> None:
        """Record that the question stands."""
        if self.quit_id is not None:
            self._store.quits.prompted(self.quit_id, self._clock.now())

    def waited(self) -> None:
        """Record that the answer was to wait."""
        if self.quit_id is not None:
            self._store.quits.waited(self.quit_id)

    def decided(self, outcome: QuitOutcome) -> None:
        """Record how the quit ended."""
        self._store.quits.decide(self._launch_id, outcome, self._clock.now())


class StorePredicate:
    """The drain predicate over the database, at this moment; PredicateUnreadableError means that it is unknown."""

    def __init__(self, store: Store, clock: SteadyClock) -> None:
        self._store = store
        self._clock = clock

    def count(self) -> DrainCount:
        """Return both counts."""
        with self._clock.still:
            return self._store.drain.count(self._clock.now())

    def blockers(self) -> list[Blocker]:
        """Return what is counted."""
        return self._store.drain.blockers()

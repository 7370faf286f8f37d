"""The main loop of the running application: starts its services, takes messages, quits, and stops everything in order.

Signals arrive as messages like everything else: nothing is raised into the middle of a commit. A quit runs in a thread
of its own, so that the next signal is always noticed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from exlab_wizard.crash_points import Point, reached
from exlab_wizard.domain.quit import Phase, QuitEvent, QuitOutcome, QuitTrigger
from exlab_wizard.process import signals
from exlab_wizard.process.steady_clock import SteadyClock
from exlab_wizard.process.supervisor import Service, Supervisor
from exlab_wizard.process.threads import LoopThread, begin, begin_or_do, left_behind
from exlab_wizard.store.queue.launches import Recovery
from exlab_wizard.store.queue.quits import PendingQuit
from exlab_wizard.store.sqlite.statement import compile_statements
from exlab_wizard.store.store import Store
from exlab_wizard.tray.quit_coordinator import QuitCoordinator
from exlab_wizard.tray.quit_gate import LaunchGate
from exlab_wizard.tray.server_runner import ServerRunner
from exlab_wizard.workers.maintenance import Maintenance
from exlab_wizard.workers.pool import WorkerPool
from exlab_wizard.workers.watchdog import Watchdog

if TYPE_CHECKING:
    from exlab_wizard.tray.icon.controller import IconController

log = logging.getLogger(__name__)

STEP_TIMEOUT_SECONDS: Final = 1.0
POLL_INTERVAL_SECONDS: Final = 1.0
"""How often the supervisor checks for dead parts; the main thread does it, since it cannot die without the process."""
LAST_RESORT_SECONDS: Final = 0.25
"""Before the end of the session-end window; whatever still hangs then is abandoned."""
LAST_RESORT: Final = "last resort"
ROLL_CALL_SECONDS: Final = 0.2
"""How long threads that nothing joined may take to end."""


@dataclass(frozen=True, slots=True)
class SignalReceived:
    """The operating system sent a signal."""

    number: int


@dataclass(frozen=True, slots=True)
class QuitsRequested:
    """Other processes requested these quits, in the database."""

    quits: list[PendingQuit]


@dataclass(frozen=True, slots=True)
class QuitWanted:
    """The icon or the window of this process requests a quit; again while the question is open, it means force."""

    trigger: QuitTrigger


@dataclass(frozen=True, slots=True)
class WindowClosed:
    """The operator closed the window."""


@dataclass(frozen=True, slots=True)
class SessionEnds:
    """The operating system announced, by other means than a signal, that the session ends."""


@dataclass(frozen=True, slots=True)
class _QuitEnded:
    outcome: QuitOutcome


@dataclass(frozen=True, slots=True)
class _CompanionEnded:
    status: int


Message = SignalReceived | QuitsRequested | QuitWanted | WindowClosed | SessionEnds | _QuitEnded | _CompanionEnded
Inbox = SimpleQueue[Message]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A launch at the moment when work may begin. `url` is None when the HTTP API cannot start."""

    launch_id: int
    recovery: Recovery
    database: Path
    destinations: dict[str, str]
    first_destination: Path | None
    safe_mode: bool
    url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """The parts that sync, and the parts that watch over them."""

    workers: WorkerPool
    watchdog: Watchdog
    maintenance: Maintenance
    supervisor: Supervisor


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the system around the process offers: never needed, and no failure of it is fatal."""

    services: Sequence[Service]
    """In the order of their start; they stop in reverse, after everything else."""
    icon: IconController | None
    """None when headless."""


@dataclass(slots=True, kw_only=True)
class MainLoop:
    """One launch, from its first service to its exit receipt."""

    inbox: Inbox
    store: Store
    clock: SteadyClock
    ready: Ready
    core: Core
    server: ServerRunner
    surroundings: Surroundings
    gate: LaunchGate
    coordinator: QuitCoordinator
    session_end_window_s: float
    quit_thread: LoopThread = field(default_factory=lambda: LoopThread("quit"))
    status: int = 0
    quitting: bool = False
    hurried: bool = False
    seen_quits: set[int] = field(default_factory=set)
    last_resorts: list[threading.Timer] = field(default_factory=list)

    def run(self, companion: Callable[[Store], int] | None) -> int:
        """Start everything, take messages until a quit has ended, stop everything, and return the exit status."""
        self._start(companion)
        outcome = self._take_messages()
        self._stop(outcome)
        return self.status

    def _start(self, companion: Callable[[Store], int] | None) -> None:
        """Everything that starts at launch, in this order."""
        if self.ready.safe_mode:
            log.error("the last launches all ended within seconds: safe mode, syncing is paused. See their log.")
        needed: list[Service] = [self.core.workers, self.core.watchdog, self.core.maintenance, self.quit_thread]
        for service in needed:
            service.start()
        if self.ready.url is not None:
            begin("server", self.server.start)
        self.coordinator.prepare()
        for service in self.surroundings.services:
            try:
                service.start()
            except Exception as error:  # boundary: without its desktop side the application works all the same
                log.warning("%s cannot start, exlab-wizard continues without it: %s", type(service).__name__, error)
        begin("compile", compile_statements)
        if companion is not None:
            self._accompany(companion)

    def _stop(self, outcome: QuitOutcome) -> None:
        """Everything that stops, in this order; a step that fails or hangs never keeps the next from running.

        Workers, window and server come before all of these: the coordinator stops them as the last steps of the quit.
        """
        reason = "drained" if outcome is QuitOutcome.DRAINED else "forced"
        connection = self.store.database.connections.current()

        def write_receipt() -> None:
            reached(Point.QUIT_BEFORE_RECEIPT)
            with self.store.database.connections.using(connection):
                self.store.launches.end(self.ready.launch_id, reason, self.clock.now())
            reached(Point.QUIT_AFTER_RECEIPT)

        for name, step in (
            ("watchdog", self.core.watchdog.stop),
            ("maintenance", self.core.maintenance.stop),
            ("exit receipt", write_receipt),
            ("coordinator", self.coordinator.close),
            ("quit", self.quit_thread.stop),
            ("database", lambda: self.store.database.close(for_good=True)),
            *((type(service).__name__, service.stop) for service in reversed(self.surroundings.services)),
        ):
            begin_or_do(f"stopping: {name}", step, STEP_TIMEOUT_SECONDS)
        left = left_behind(ROLL_CALL_SECONDS, {signals.THREAD, LAST_RESORT})
        if left:
            log.warning("abandoned threads that did not end: %s", ", ".join(left))
        for timer in self.last_resorts:
            timer.cancel()
            timer.join(ROLL_CALL_SECONDS)
        log.info("exlab-wizard has quit: %s", reason)

    def _take_messages(self) -> QuitOutcome:
        while True:
            match self._next_message():
                case _QuitEnded(outcome) if outcome is not QuitOutcome.KEPT_RUNNING:
                    return outcome
                case message:
                    self._handle(message)

    def _handle(self, message: Message) -> None:
        match message:
            case SignalReceived(number):
                log.info("%s received", signal.Signals(number).name)
                self._on_signal(session_end=number != signal.SIGINT)
            case SessionEnds():
                log.info("the session ends")
                self._on_signal(session_end=True)
            case QuitWanted(trigger):
                self._on_quit_wanted(trigger)
            case WindowClosed():
                if self.surroundings.icon is not None:
                    self.surroundings.icon.window_closed()
            case QuitsRequested(quits):
                self._on_quits_requested(quits)
            case _QuitEnded():
                self._on_kept_running()
            case _CompanionEnded(status):
                self.status = status
                if not self.quitting:
                    self._quit(QuitTrigger.CLI)

    def _next_message(self) -> Message:
        while True:
            try:
                return self.inbox.get(timeout=POLL_INTERVAL_SECONDS)
            except Empty:
                self.core.supervisor.poll()

    def _on_signal(self, *, session_end: bool) -> None:
        """First signal: quit. SIGTERM during a quit that began otherwise: hurry it. Any further one: force."""
        if session_end and not self.hurried:
            self._arm_last_resort()
        if not self.quitting:
            self.status = 0 if session_end else self.status
            self._quit(QuitTrigger.SIGNAL, session_end=session_end)
        elif session_end and not self.hurried:
            self.hurried = True
            self.coordinator.hurry()
        else:
            self.coordinator.post(QuitEvent.FORCE)

    def _arm_last_resort(self) -> None:
        """End the process just before the session does, whatever hangs; the next launch recovers what is unwritten."""
        timer = threading.Timer(self.session_end_window_s - LAST_RESORT_SECONDS, lambda: os._exit(self.status))
        timer.daemon, timer.name = True, LAST_RESORT
        with contextlib.suppress(RuntimeError):  # out of threads: the quit's own limits have to do
            timer.start()
            self.last_resorts.append(timer)

    def _on_quit_wanted(self, trigger: QuitTrigger) -> None:
        if not self.quitting:
            self._quit(trigger)
        elif self.coordinator.phase is Phase.ASKING:
            self.coordinator.post(QuitEvent.QUIT)

    def _on_quits_requested(self, quits: list[PendingQuit]) -> None:
        new = [request for request in quits if request.id not in self.seen_quits]
        self.seen_quits.update(request.id for request in new)
        for request in new:
            if not self.quitting:
                self._quit(request.trigger, quit_id=request.id, force=request.force)
            elif request.force:
                self.coordinator.post(QuitEvent.FORCE)
            elif self.coordinator.phase is Phase.ASKING and request.id != self.gate.quit_id:
                self.coordinator.post(QuitEvent.QUIT)

    def _on_kept_running(self) -> None:
        self.quitting = False
        self.coordinator.forget()
        if self.hurried:
            # The session ended while the answer was given, and no answer can keep it from ending.
            self._quit(QuitTrigger.SIGNAL, session_end=True)
        else:
            log.info("the quit was called off; exlab-wizard keeps running")

    def _quit(
        self, trigger: QuitTrigger, *, quit_id: int | None = None, session_end: bool = False, force: bool = False
    ) -> None:
        self.quitting, self.hurried = True, session_end
        self.gate.requested(trigger, quit_id)

        def drive(loop: asyncio.AbstractEventLoop) -> None:
            outcome = QuitOutcome.FORCED
            try:
                outcome = loop.run_until_complete(self.coordinator.quit(sigterm=session_end, force=force))
            except Exception:  # boundary: a quit always ends, even if it fails unexpectedly
                log.exception("the quit failed; exlab-wizard exits, and the next launch resumes the jobs in flight")
            finally:
                self.inbox.put(_QuitEnded(outcome))

        self.quit_thread.submit(drive)

    def _accompany(self, companion: Callable[[Store], int]) -> None:
        def accompany() -> None:
            status = 1
            try:
                status = companion(self.store)
            finally:
                self.inbox.put(_CompanionEnded(status))

        begin("companion", accompany)

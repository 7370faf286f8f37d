"""The main loop of the running application: starts its services, takes messages, quits, and stops everything in order.

A message is a call of one of its methods, in its own thread. Signals arrive as messages like everything else: nothing
is raised into the middle of a commit. A quit runs in a thread of its own, so that the next signal is always noticed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from exlab_wizard.crash_points import Point, reached
from exlab_wizard.domain.quit import Phase, QuitEvent, QuitOutcome, QuitTrigger
from exlab_wizard.launch import Launch, Opened
from exlab_wizard.process import signals
from exlab_wizard.process.session.watch import SessionWatch
from exlab_wizard.process.supervisor import Service
from exlab_wizard.process.threads import LoopThread, begin, begin_or_do, left_behind
from exlab_wizard.store.queue.quits import PendingQuit
from exlab_wizard.store.sqlite.statement import compile_statements
from exlab_wizard.store.store import Store
from exlab_wizard.tray.quit_coordinator import QuitCoordinator
from exlab_wizard.tray.server_runner import ServerRunner
from exlab_wizard.workers.maintenance import Maintenance
from exlab_wizard.workers.pool import WorkerPool
from exlab_wizard.workers.watchdog import Watchdog

if TYPE_CHECKING:
    from exlab_wizard.desktop.notifications.notifier import Notifications
    from exlab_wizard.desktop.notifications.watcher import NotificationWatcher
    from exlab_wizard.process.autostart.entry import AutostartRepair
    from exlab_wizard.server.backend import Backend
    from exlab_wizard.tray.icon.controller import IconController
    from exlab_wizard.tray.quit_notification import NotificationPrompt
    from exlab_wizard.tray.window_launcher import WindowLauncher

log = logging.getLogger(__name__)

STEP_TIMEOUT_SECONDS: Final = 1.0
POLL_INTERVAL_SECONDS: Final = 1.0
"""How often the supervisor checks for dead parts; the main thread does it, since it cannot die without the process."""
LAST_RESORT_SECONDS: Final = 0.25
"""Before the end of the session-end window; whatever still hangs then is abandoned."""
LAST_RESORT: Final = "last resort"
ROLL_CALL_SECONDS: Final = 0.2
"""How long threads that nothing joined may take to end."""


Message = Callable[["MainLoop"], None]
Inbox = SimpleQueue[Message]


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """The parts that sync, and the parts that watch over them."""

    workers: WorkerPool
    watchdog: Watchdog
    maintenance: Maintenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """The server, and where it answers."""

    server: ServerRunner
    url: str | None
    """None when it cannot start."""
    backend: Future[Backend]
    """Complete before the server starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Display:
    """What a quit closes and asks by; a headless process has none of it."""

    window: WindowLauncher
    notifier: Notifications
    prompt: NotificationPrompt
    quiet: Callable[[], bool]
    """Whether notifications are unwanted now: switched off, or the operator is looking at the window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desktop:
    """Everything that only a desktop has."""

    display: Display
    watcher: NotificationWatcher
    icon: IconController
    autostart: AutostartRepair


@dataclass(slots=True, kw_only=True)
class MainLoop:
    """One launch, from its first service to its exit receipt."""

    inbox: Inbox
    opened: Opened
    launch: Launch
    core: Core
    session_watch: SessionWatch
    http: Http
    desktop: Desktop | None
    """None when headless."""
    coordinator: QuitCoordinator
    quit_thread: LoopThread = field(default_factory=lambda: LoopThread("quit"))
    status: int = 0
    outcome: QuitOutcome | None = None
    quitting: bool = False
    hurried: bool = False
    seen_quits: set[int] = field(default_factory=set)
    last_resorts: list[threading.Timer] = field(default_factory=list)

    def run(self, companion: Callable[[Store], int] | None) -> int:
        """Start everything, take messages until a quit has ended, stop everything, and return the exit status."""
        self._start(companion)
        while self.outcome is None:
            self._next_message()(self)
        self._stop(self.outcome)
        return self.status

    def _start(self, companion: Callable[[Store], int] | None) -> None:
        """Everything that starts at launch, in this order."""
        if self.launch.safe_mode.active:
            log.error("safe mode: the last launches all ended within seconds, so syncing is paused; check the log")
        needed: list[Service] = [self.core.workers, self.core.watchdog, self.core.maintenance, self.quit_thread]
        for service in needed:
            service.start()
        if self.http.url is not None:
            begin("server", self.http.server.start)
        self.coordinator.prepare()
        for name, service in self._surroundings().items():
            try:
                service.start()
            except Exception as error:  # boundary: without its desktop side the application works all the same
                log.warning("cannot start the %s; exlab-wizard continues without it: %s", name, error)
        begin("compile", compile_statements)
        if companion is not None:
            begin("companion", partial(self._accompany, companion))

    def _surroundings(self) -> dict[str, Service]:
        """What the system around the process offers, in the order of its start; no failure of it is fatal."""
        found: dict[str, Service] = {"session watch": self.session_watch}
        if self.desktop is not None:
            display = self.desktop.display
            found |= {"window": display.window, "notifications": display.notifier}
            found |= {"notification watcher": self.desktop.watcher, "icon": self.desktop.icon}
            found |= {"start-at-login check": self.desktop.autostart}
        return found

    def _stop(self, outcome: QuitOutcome) -> None:
        """Everything that stops, in this order; a step that fails or hangs never keeps the next from running.

        1. to 3. workers, window, server: stopped already, by the coordinator, as the last steps of a quit
        4. to 8. watchdog, maintenance, exit receipt, the quit's own threads, database
        9. what surrounds the process, in the reverse order of its start
        """
        reason = "drained" if outcome is QuitOutcome.DRAINED else "forced"
        database, launches = self.opened.store.database, self.opened.store.launches
        connection = database.connections.current()

        def write_receipt() -> None:
            reached(Point.QUIT_BEFORE_RECEIPT)
            with database.connections.using(connection):
                launches.end(self.launch.id, reason, self.opened.clock.now())
            reached(Point.QUIT_AFTER_RECEIPT)

        for name, step in (
            ("watchdog", self.core.watchdog.stop),
            ("maintenance", self.core.maintenance.stop),
            ("exit receipt", write_receipt),
            ("coordinator", self.coordinator.close),
            ("quit", self.quit_thread.stop),
            ("database", lambda: database.close(for_good=True)),
            *((name, service.stop) for name, service in reversed(self._surroundings().items())),
        ):
            begin_or_do(f"stopping: {name}", step, STEP_TIMEOUT_SECONDS)
        left = left_behind(ROLL_CALL_SECONDS, {signals.THREAD, LAST_RESORT})
        if left:
            log.warning("abandoned threads that did not end: %s", ", ".join(left))
        for timer in self.last_resorts:
            timer.cancel()
            timer.join(ROLL_CALL_SECONDS)
        log.info("exlab-wizard has quit: %s", reason)

    def _next_message(self) -> Message:
        while True:
            try:
                return self.inbox.get(timeout=POLL_INTERVAL_SECONDS)
            except Empty:
                self.launch.supervisor.poll()

    def signal_received(self, number: int) -> None:
        """The operating system sent a signal."""
        log.info("%s received", signal.Signals(number).name)
        self._on_signal(session_end=number != signal.SIGINT)

    def session_ends(self) -> None:
        """The operating system announced, by other means than a signal, that the session ends."""
        log.info("the session ends")
        self._on_signal(session_end=True)

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
        window_s = self.opened.settings.current.quit.session_end_window_s
        timer = threading.Timer(window_s - LAST_RESORT_SECONDS, lambda: os._exit(self.status))
        timer.daemon, timer.name = True, LAST_RESORT
        with contextlib.suppress(RuntimeError):  # out of threads: the quit's own limits have to do
            timer.start()
            self.last_resorts.append(timer)

    def quit_wanted(self, trigger: QuitTrigger) -> None:
        """The icon or the window of this process requests a quit; again while the question is open, it means force."""
        if not self.quitting:
            self._quit(trigger)
        elif self.coordinator.phase is Phase.ASKING:
            self.coordinator.post(QuitEvent.QUIT)

    def window_closed(self) -> None:
        """The operator closed the window."""
        if self.desktop is not None:
            self.desktop.icon.window_closed()

    def quits_requested(self, quits: list[PendingQuit]) -> None:
        """Other processes requested these quits, in the database."""
        new = [request for request in quits if request.id not in self.seen_quits]
        self.seen_quits.update(request.id for request in new)
        for request in new:
            if not self.quitting:
                self._quit(request.trigger, quit_id=request.id, force=request.force)
            elif request.force:
                self.coordinator.post(QuitEvent.FORCE)
            elif self.coordinator.phase is Phase.ASKING and request.id != self.launch.gate.quit_id:
                self.coordinator.post(QuitEvent.QUIT)

    def _quit_ended(self, outcome: QuitOutcome) -> None:
        if outcome is not QuitOutcome.KEPT_RUNNING:
            self.outcome = outcome
            return
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
        self.launch.gate.requested(trigger, quit_id)

        def drive(loop: asyncio.AbstractEventLoop) -> None:
            outcome = QuitOutcome.FORCED
            try:
                outcome = loop.run_until_complete(self.coordinator.quit(sigterm=session_end, force=force))
            except Exception:  # boundary: a quit always ends, even if it fails unexpectedly
                log.exception("the quit failed; exlab-wizard exits, and the next launch resumes the jobs in flight")
            finally:
                self.inbox.put(lambda _: self._quit_ended(outcome))

        self.quit_thread.submit(drive)

    def _accompany(self, companion: Callable[[Store], int]) -> None:
        status = 1
        try:
            status = companion(self.opened.store)
        finally:
            self.inbox.put(lambda _: self._companion_ended(status))

    def _companion_ended(self, status: int) -> None:
        self.status = status
        if not self.quitting:
            self._quit(QuitTrigger.CLI)

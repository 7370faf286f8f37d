"""The only assembly: builds the running application, starts it, waits, and stops everything in order.

The main thread waits for messages, and signals come as such: nothing is raised into the middle of a commit. A quit runs
in a thread of its own, so that the next signal is always heard.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from exlab_wizard.domain.clock import to_text
from exlab_wizard.domain.shutdown import Phase, QuitEvent, QuitOutcome, QuitTrigger
from exlab_wizard.paths import StateDir
from exlab_wizard.points import Point, reached
from exlab_wizard.runtime.attempt import Attempts
from exlab_wizard.runtime.audience import Audience
from exlab_wizard.runtime.first_run import give_first_destination
from exlab_wizard.runtime.gate import LaunchGate, StorePredicate
from exlab_wizard.runtime.health import Health
from exlab_wizard.runtime.host import SystemClock, is_network_path, this_process
from exlab_wizard.runtime.housekeeping import Housekeeping
from exlab_wizard.runtime.instance import InstanceLock
from exlab_wizard.runtime.keeper import Keeper
from exlab_wizard.runtime.ready import Ready
from exlab_wizard.runtime.service import Service
from exlab_wizard.runtime.signals import signals_into
from exlab_wizard.runtime.standby import Standby, begin, begin_or_do
from exlab_wizard.runtime.steady import SteadyClock
from exlab_wizard.runtime.workers import WorkerPool
from exlab_wizard.settings import SettingsFile
from exlab_wizard.store import schema
from exlab_wizard.store.backup import Backups
from exlab_wizard.store.database import Database
from exlab_wizard.store.quits import PendingQuit
from exlab_wizard.store.statement import compile_statements
from exlab_wizard.store.store import Store
from exlab_wizard.tray.prompts import ApiQuestion, FirstAnswer, RemoteQuestion, TerminalQuestion
from exlab_wizard.tray.protocols import NoWindow, ServedApplication
from exlab_wizard.tray.quit_coordinator import QuitCoordinator
from exlab_wizard.tray.server_runner import HOST, ServerError, ServerRunner

log = logging.getLogger(__name__)

STEP_SECONDS: Final = 1.0
TOKEN_BYTES: Final = 32
LAST_RESORT_SECONDS: Final = 0.25
"""Before the end of the session-end window; whatever still hangs then is left behind."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to run: where the state is, and which configuration holds."""

    state_dir: StateDir
    config: Path
    headless: bool = True
    window: bool = False


@dataclass(frozen=True, slots=True)
class _Signal:
    number: int


@dataclass(frozen=True, slots=True)
class _QuitAsked:
    quits: list[PendingQuit]


@dataclass(frozen=True, slots=True)
class _QuitEnded:
    outcome: QuitOutcome


@dataclass(frozen=True, slots=True)
class _CompanionEnded:
    status: int


_Message = _Signal | _QuitAsked | _QuitEnded | _CompanionEnded


def run(
    options: Options,
    companion: Callable[[Store], int] | None = None,
    announce: Callable[[Ready], None] | None = None,
) -> int:
    """Run the application until it has quit, and return the exit status.

    `announce` is called once, when work may begin. With a `companion` the application runs for its sake: it is called
    in a thread of its own, and when it returns the application drains, and its status is returned.

    Raises:
        InstanceHeldError: another process runs the application of this state dir.
        ExlabError: it cannot start; the message says what to do.
    """
    inbox: SimpleQueue[_Message] = SimpleQueue()
    options.state_dir.create()
    with InstanceLock(options.state_dir), signals_into(lambda number: inbox.put(_Signal(number))):
        application = _build(options, inbox)
        if announce is not None:
            try:
                announce(application.ready)
            except OSError as error:  # a full disk, or a reader that went away: no reason to sync nothing
                log.warning("that work may begin could not be written: %s", error)
        return application.run(companion)


def leave(status: int) -> None:
    """End the process now. All is closed by then; tearing the interpreter down would only take time."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def _build(options: Options, inbox: SimpleQueue[_Message]) -> _Application:
    """Open the database, recover the last launch, and wire everything; nothing runs yet."""
    machine = SystemClock()
    clock = SteadyClock(machine)
    settings = SettingsFile(options.config)
    settings.read()
    first = None if settings.current.destinations else give_first_destination(options.state_dir, settings)
    state_dir, backups = options.state_dir, Backups(options.state_dir)
    store, clean = _opened(state_dir, backups, clock)
    process = this_process()
    recovery = store.launches.recover(process, clock.now())
    health = Health(store, recovery.launch_id, clock)
    safe_mode = health.start_is_deadly(recovery)
    attempts = Attempts(store, settings, store.launches.installation_id(), process.host, health.reached)
    audience = Audience(clock, lambda: coordinator.changed())  # noqa: PLW0108 - it does not exist yet
    workers = WorkerPool(store, attempts, settings, recovery.launch_id, clock, audience.changed)
    gate = LaunchGate(store, recovery.launch_id, clock)
    token = secrets.token_urlsafe(TOKEN_BYTES)

    def make(port: int) -> ServedApplication:
        from exlab_wizard.server.application import HttpApplication  # noqa: PLC0415 - loaded in the server's thread
        from exlab_wizard.server.backend import Backend  # noqa: PLC0415 - likewise

        parts = (store, settings, state_dir.root, recovery.launch_id, clock, coordinator, workers, keeper, audience)
        return HttpApplication(Backend(*parts, safe_mode=safe_mode), port=port, token=token)

    server = ServerRunner(make, state_dir.server, token=token, started_at=to_text(clock.now()))
    coordinator = QuitCoordinator(
        gate=gate,
        predicate=StorePredicate(store, clock),
        workers=workers,
        question=FirstAnswer(
            [TerminalQuestion(), RemoteQuestion(store.quits, recovery.launch_id, machine), ApiQuestion(audience)]
        ),
        window=NoWindow(),
        server=server,
        clock=clock,
        window_s=settings.current.quit.window_s,
        session_end_window_s=settings.current.quit.session_end_window_s,
    )
    keeper = Keeper(
        store,
        settings,
        workers,
        recovery.launch_id,
        clock,
        health=health,
        quit_asked=lambda quits: inbox.put(_QuitAsked(quits)),
        changed=audience.changed,
    )
    housekeeping = Housekeeping(store, backups, settings, clock, check=clean)
    window = settings.current.quit.session_end_window_s
    targets = {name: destination.target for name, destination in settings.current.destinations.items()}
    ready = Ready(recovery.launch_id, recovery, state_dir.database, targets, first, safe_mode, _url(server))
    return _Application(inbox, store, clock, ready, workers, keeper, housekeeping, gate, coordinator, server, window)


def _opened(state_dir: StateDir, backups: Backups, clock: SteadyClock) -> tuple[Store, bool]:
    """Return the database, up to date, and whether the last launch ended well; read through it when not."""
    database = Database(state_dir.database, journal_mode="delete" if is_network_path(state_dir.root) else None)
    schema.upgrade(database, backups, clock.now())
    store = Store(database)
    clean = store.launches.open_launch() is None
    if not clean:
        schema.quick_check(database)
    database.grow_wal()
    return store, clean


def _url(server: ServerRunner) -> str | None:
    """Return where the API will answer in a moment; None when it cannot."""
    try:
        return f"http://{HOST}:{server.bind()}/"
    except ServerError as error:
        log.error("%s", error)  # noqa: TRY400 - the sentence says it all
        return None


@dataclass(slots=True)
class _Application:
    inbox: SimpleQueue[_Message]
    store: Store
    clock: SteadyClock
    ready: Ready
    workers: WorkerPool
    keeper: Keeper
    housekeeping: Housekeeping
    gate: LaunchGate
    coordinator: QuitCoordinator
    server: ServerRunner
    session_end_window_s: float
    standby: Standby = field(default_factory=lambda: Standby("quit"))
    status: int = 0
    quitting: bool = False
    hurried: bool = False
    seen: set[int] = field(default_factory=set)

    def run(self, companion: Callable[[Store], int] | None) -> int:
        """Start everything, take messages until a quit has ended, stop everything."""
        services: list[Service] = [self.keeper, self.housekeeping]
        if self.ready.safe_mode:
            log.error("the last launches all ended within seconds: safe mode, nothing is synced. See their log.")
        else:
            services.insert(0, self.workers)
        for service in services:
            service.start()
        self.standby.start()
        if self.ready.url is not None:
            begin("server", self.server.start)
        self.coordinator.prepare()
        begin("compile", compile_statements)
        if companion is not None:
            self._accompany(companion)
        outcome = self._take_messages()
        self._stop(outcome)
        return self.status

    def _take_messages(self) -> QuitOutcome:
        while True:
            match self.inbox.get():
                case _Signal(number):
                    self._on_signal(number)
                case _QuitAsked(quits):
                    self._on_quit_asked(quits)
                case _CompanionEnded(status):
                    self.status = status
                    if not self.quitting:
                        self._quit(QuitTrigger.CLI)
                case _QuitEnded(QuitOutcome.KEPT_RUNNING):
                    self._on_kept_running()
                case _QuitEnded(outcome):
                    return outcome

    def _on_kept_running(self) -> None:
        self.quitting = False
        self.coordinator.forget()
        if self.hurried:
            # The session ended while the answer was given, and nobody can keep it from ending.
            self._quit(QuitTrigger.SIGNAL, session_end=True)
        else:
            log.info("the quit was taken back; work goes on")

    def _on_signal(self, number: int) -> None:
        """First signal: quit. SIGTERM during a quit that somebody else began: hurry it. Any further one: force."""
        session_end = number != signal.SIGINT
        if session_end and not self.hurried:
            # The last resort against whatever hangs on the way; what is not written by then, the next launch recovers.
            timer = threading.Timer(self.session_end_window_s - LAST_RESORT_SECONDS, lambda: os._exit(self.status))
            timer.daemon = True
            with contextlib.suppress(RuntimeError):  # without a thread to be had, the quit's own limits have to do
                timer.start()
        log.info("%s received", signal.Signals(number).name)
        if not self.quitting:
            self.status = 0 if session_end else self.status
            self._quit(QuitTrigger.SIGNAL, session_end=session_end)
        elif session_end and not self.hurried:
            self.hurried = True
            self.coordinator.hurry()
        else:
            self.coordinator.post(QuitEvent.FORCE)

    def _on_quit_asked(self, quits: list[PendingQuit]) -> None:
        new = [asked for asked in quits if asked.id not in self.seen]
        self.seen.update(asked.id for asked in new)
        for asked in new:
            if not self.quitting:
                self._quit(asked.trigger, quit_id=asked.id, force=asked.force)
            elif asked.force:
                self.coordinator.post(QuitEvent.FORCE)
            elif self.coordinator.phase is Phase.ASKING and asked.id != self.gate.quit_id:
                self.coordinator.post(QuitEvent.QUIT)

    def _quit(
        self, trigger: QuitTrigger, *, quit_id: int | None = None, session_end: bool = False, force: bool = False
    ) -> None:
        self.quitting, self.hurried = True, session_end
        self.gate.requested(trigger, quit_id)

        def drive(loop: asyncio.AbstractEventLoop) -> None:
            outcome = QuitOutcome.FORCED
            try:
                outcome = loop.run_until_complete(self.coordinator.quit(sigterm=session_end, force=force))
            except Exception:  # boundary: a quit always ends, even when it fails in a way that nobody foresaw
                log.exception("the quit failed; the application ends, and the next launch resumes what was in flight")
            self.inbox.put(_QuitEnded(outcome))

        self.standby.hand(drive)

    def _accompany(self, companion: Callable[[Store], int]) -> None:
        def accompany() -> None:
            status = 1
            try:
                status = companion(self.store)
            finally:
                self.inbox.put(_CompanionEnded(status))

        begin("companion", accompany)

    def _stop(self, outcome: QuitOutcome) -> None:
        """Everything that is left, in order; a step that fails or hangs never keeps the next from running."""
        reason = "drained" if outcome is QuitOutcome.DRAINED else "forced"
        connection = self.store.database.connection()

        def receipt() -> None:
            reached(Point.QUIT_BEFORE_RECEIPT)
            with self.store.database.using(connection):
                self.store.launches.end(self.ready.launch_id, reason, self.clock.now())
            reached(Point.QUIT_AFTER_RECEIPT)

        for name, step in (
            ("keeper", self.keeper.stop),
            ("housekeeping", self.housekeeping.stop),
            ("exit receipt", receipt),
            ("database", self.store.close),
        ):
            begin_or_do(f"stopping: {name}", step, STEP_SECONDS)
        log.info("exlab-wizard has quit: %s", reason)

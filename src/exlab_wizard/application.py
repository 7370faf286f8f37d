"""The running application: starts its services, takes one message at a time, quits, and stops everything in order.

Signals come as messages like all else: nothing is raised into the middle of a commit. A quit runs in a thread of its
own, so that the next signal is always heard.
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
from queue import Empty, SimpleQueue
from typing import Final

from exlab_wizard.crash_points import Point, reached
from exlab_wizard.domain.quit import Phase, QuitEvent, QuitOutcome, QuitTrigger
from exlab_wizard.process import signals
from exlab_wizard.process.steady_clock import SteadyClock
from exlab_wizard.process.supervisor import Components, Service
from exlab_wizard.process.threads import Standby, begin, begin_or_do, left_behind
from exlab_wizard.ready import Ready
from exlab_wizard.store.queue.quits import PendingQuit
from exlab_wizard.store.sqlite.statement import compile_statements
from exlab_wizard.store.store import Store
from exlab_wizard.tray.quit_coordinator import QuitCoordinator
from exlab_wizard.tray.quit_gate import LaunchGate
from exlab_wizard.tray.server_runner import ServerRunner
from exlab_wizard.workers.maintenance import Housekeeping
from exlab_wizard.workers.pool import WorkerPool
from exlab_wizard.workers.watchdog import Keeper

log = logging.getLogger(__name__)

STEP_SECONDS: Final = 1.0
POLL_INTERVAL_SECONDS: Final = 1.0
"""How often it is looked whether a part has died; by the one thread that cannot die without the process."""
LAST_RESORT_SECONDS: Final = 0.25
"""Before the end of the session-end window; whatever still hangs then is left behind."""
LAST_RESORT: Final = "last resort"
ROLL_CALL_SECONDS: Final = 0.2
"""How long threads may take to end that nobody waited for."""


@dataclass(frozen=True, slots=True)
class SignalCame:
    """The operating system sent a signal."""

    number: int


@dataclass(frozen=True, slots=True)
class QuitAsked:
    """Another process asked for these quits, in the database."""

    quits: list[PendingQuit]


@dataclass(frozen=True, slots=True)
class QuitWanted:
    """Somebody in this process asked for a quit, by the icon or the window; again while asking, it means force."""

    trigger: QuitTrigger


@dataclass(frozen=True, slots=True)
class SessionEnds:
    """The operating system announced, by other means than a signal, that the session ends."""


@dataclass(frozen=True, slots=True)
class _QuitEnded:
    outcome: QuitOutcome


@dataclass(frozen=True, slots=True)
class _CompanionEnded:
    status: int


Message = SignalCame | QuitAsked | QuitWanted | SessionEnds | _QuitEnded | _CompanionEnded


@dataclass(frozen=True, slots=True)
class Control:
    """What the operator can ask of the application at its icon."""

    inbox: SimpleQueue[Message]
    coordinator: QuitCoordinator
    store: Store
    launch_id: int
    clock: SteadyClock

    def quit_wanted(self, trigger: QuitTrigger) -> None:
        """Quit; while the question of a quit stands: force."""
        self.inbox.put(QuitWanted(trigger))

    def answer(self, event: QuitEvent) -> None:
        """Answer the question of the quit."""
        self.coordinator.post(event)

    def session_ended(self) -> None:
        """Quit as at the end of the session: the desktop is gone."""
        self.inbox.put(SessionEnds())

    def pause(self, *, paused: bool) -> None:
        """Pause syncing, or go on; for a thread that ends afterwards.

        Raises:
            StoreError: it could not be written down.
        """
        try:
            if paused:
                self.store.launches.pause(self.launch_id, self.clock.now())
            else:
                self.store.launches.go_on(self.launch_id)
        finally:
            self.store.database.release()


@dataclass(slots=True)
class Application:
    """One launch, from its first service to its exit receipt."""

    inbox: SimpleQueue[Message]
    store: Store
    clock: SteadyClock
    ready: Ready
    workers: WorkerPool
    keeper: Keeper
    housekeeping: Housekeeping
    gate: LaunchGate
    coordinator: QuitCoordinator
    server: ServerRunner
    components: Components
    session_end_window_s: float
    desk: Sequence[Service] = ()
    """Icon, notifications, what the desktop announces: welcome, and never needed. Their `stop` comes last."""
    standby: Standby = field(default_factory=lambda: Standby("quit"))
    status: int = 0
    quitting: bool = False
    hurried: bool = False
    seen: set[int] = field(default_factory=set)
    last_resorts: list[threading.Timer] = field(default_factory=list)

    def run(self, companion: Callable[[Store], int] | None) -> int:
        """Start everything, take messages until a quit has ended, stop everything."""
        if self.ready.safe_mode:
            log.error("the last launches all ended within seconds: safe mode, nothing is synced yet. See their log.")
        services: list[Service] = [self.workers, self.keeper, self.housekeeping]
        for service in services:
            service.start()
        self.standby.start()
        if self.ready.url is not None:
            begin("server", self.server.start)
        self.coordinator.prepare()
        for service in self.desk:
            try:
                service.start()
            except Exception as error:  # boundary: without its desktop side the application works all the same
                log.warning("the desktop does without %s: %s", type(service).__name__, error)
        begin("compile", compile_statements)
        if companion is not None:
            self._accompany(companion)
        outcome = self._take_messages()
        self._stop(outcome)
        return self.status

    def _take_messages(self) -> QuitOutcome:
        while True:
            match self._next_message():
                case SignalCame(number):
                    log.info("%s received", signal.Signals(number).name)
                    self._on_signal(session_end=number != signal.SIGINT)
                case SessionEnds():
                    log.info("the session ends")
                    self._on_signal(session_end=True)
                case QuitWanted(trigger):
                    self._on_quit_wanted(trigger)
                case QuitAsked(quits):
                    self._on_quit_asked(quits)
                case _CompanionEnded(status):
                    self.status = status
                    if not self.quitting:
                        self._quit(QuitTrigger.CLI)
                case _QuitEnded(QuitOutcome.KEPT_RUNNING):
                    self._on_kept_running()
                case _QuitEnded(outcome):
                    return outcome

    def _next_message(self) -> Message:
        while True:
            try:
                return self.inbox.get(timeout=POLL_INTERVAL_SECONDS)
            except Empty:
                self.components.look()

    def _on_kept_running(self) -> None:
        self.quitting = False
        self.coordinator.forget()
        if self.hurried:
            # The session ended while the answer was given, and nobody can keep it from ending.
            self._quit(QuitTrigger.SIGNAL, session_end=True)
        else:
            log.info("the quit was taken back; work goes on")

    def _on_signal(self, *, session_end: bool) -> None:
        """First signal: quit. SIGTERM during a quit that somebody else began: hurry it. Any further one: force."""
        if session_end and not self.hurried:
            # The last resort against whatever hangs on the way; what is not written by then, the next launch recovers.
            timer = threading.Timer(self.session_end_window_s - LAST_RESORT_SECONDS, lambda: os._exit(self.status))
            timer.daemon, timer.name = True, LAST_RESORT
            with contextlib.suppress(RuntimeError):  # without a thread to be had, the quit's own limits have to do
                timer.start()
                self.last_resorts.append(timer)
        if not self.quitting:
            self.status = 0 if session_end else self.status
            self._quit(QuitTrigger.SIGNAL, session_end=session_end)
        elif session_end and not self.hurried:
            self.hurried = True
            self.coordinator.hurry()
        else:
            self.coordinator.post(QuitEvent.FORCE)

    def _on_quit_wanted(self, trigger: QuitTrigger) -> None:
        if not self.quitting:
            self._quit(trigger)
        elif self.coordinator.phase is Phase.ASKING:
            self.coordinator.post(QuitEvent.QUIT)

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
            finally:
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
        connection = self.store.database.mine()

        def receipt() -> None:
            reached(Point.QUIT_BEFORE_RECEIPT)
            with self.store.database.using(connection):
                self.store.launches.end(self.ready.launch_id, reason, self.clock.now())
            reached(Point.QUIT_AFTER_RECEIPT)

        for name, step in (
            ("keeper", self.keeper.stop),
            ("housekeeping", self.housekeeping.stop),
            ("exit receipt", receipt),
            ("coordinator", self.coordinator.close),
            ("quit", self.standby.stop),
            ("database", lambda: self.store.database.close(for_good=True)),
            *((type(service).__name__, service.stop) for service in reversed(self.desk)),
        ):
            begin_or_do(f"stopping: {name}", step, STEP_SECONDS)
        left = left_behind(ROLL_CALL_SECONDS, {signals.THREAD, LAST_RESORT})
        if left:
            log.warning("left behind, since they did not end: %s", ", ".join(left))
        for timer in self.last_resorts:
            timer.cancel()
            timer.join(ROLL_CALL_SECONDS)
        log.info("exlab-wizard has quit: %s", reason)

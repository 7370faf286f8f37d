"""The only assembly: builds the running application out of its parts."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from exlab_wizard.application import Application, Control, Message, QuitAsked, SessionEnds, SignalCame
from exlab_wizard.desktop.autostart.entry import AutostartRepair
from exlab_wizard.domain.clock import to_text
from exlab_wizard.domain.headline import Overview
from exlab_wizard.domain.quit import Phase
from exlab_wizard.first_run import give_first_destination
from exlab_wizard.paths import StateDir
from exlab_wizard.process.changes import Changes
from exlab_wizard.process.identity import SystemClock, is_network_path, this_process
from exlab_wizard.process.instance_lock import InstanceLock
from exlab_wizard.process.logs import Logbook
from exlab_wizard.process.presence import Presence
from exlab_wizard.process.safe_mode import Health
from exlab_wizard.process.session.port import Heard
from exlab_wizard.process.session.watch import SessionEnd, host_of_this_system
from exlab_wizard.process.signals import signals_into
from exlab_wizard.process.steady_clock import SteadyClock
from exlab_wizard.process.supervisor import Component, Components, Service
from exlab_wizard.process.threads import begin
from exlab_wizard.ready import Ready
from exlab_wizard.server.auth.page_json import keep_page_file, read_page_file
from exlab_wizard.settings import SettingsFile
from exlab_wizard.store.queue.launches import Recovery
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.store import Store
from exlab_wizard.store.upkeep import migration
from exlab_wizard.store.upkeep.backup import Backups
from exlab_wizard.tray.icon.controller import ICON_IN_MAIN, Desktop, Icon
from exlab_wizard.tray.icon.headline import Overviews
from exlab_wizard.tray.icon.host import tray_host
from exlab_wizard.tray.icon.menu import Act
from exlab_wizard.tray.icon.x11 import hear_display_end
from exlab_wizard.tray.quit_coordinator import QuitCoordinator
from exlab_wizard.tray.quit_gate import LaunchGate, StorePredicate
from exlab_wizard.tray.quit_ports import NoWindow, Question, ServedApplication, WindowLauncher
from exlab_wizard.tray.quit_prompts import ApiQuestion, FirstAnswer, RemoteQuestion, TerminalQuestion
from exlab_wizard.tray.server_runner import HOST, ServerError, ServerRunner
from exlab_wizard.workers.attempt import Attempts
from exlab_wizard.workers.maintenance import Housekeeping
from exlab_wizard.workers.pool import WorkerPool
from exlab_wizard.workers.watchdog import Keeper

log = logging.getLogger(__name__)

TOKEN_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Options:
    """How to run: where the state is, and which configuration holds."""

    state_dir: StateDir
    config: Path
    headless: bool = True
    """Without icon and window."""
    window: bool = False
    """A window opens at the start; for what is not headless."""


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
    inbox: SimpleQueue[Message] = SimpleQueue()
    options.state_dir.create()
    with (
        InstanceLock(options.state_dir),
        signals_into(lambda number: inbox.put(SignalCame(number)), last=True),
        Logbook(options.state_dir.logs) as logbook,
    ):
        application = _build(options, inbox)
        logbook.launch(application.ready.launch_id)
        if announce is not None:
            try:
                announce(application.ready)
            except OSError as error:  # a full disk, or a reader that went away: no reason to sync nothing
                log.warning("that work may begin could not be written: %s", error)
        return _run(application, companion)


def _run(application: Application, companion: Callable[[Store], int] | None) -> int:
    desktops = [service for service in application.desk if isinstance(service, Desktop)]
    if not (ICON_IN_MAIN and desktops):
        return application.run(companion)
    statuses: SimpleQueue[int] = SimpleQueue()

    def beside() -> None:
        status = 1
        try:
            status = application.run(companion)
        finally:
            desktops[0].stop()
            statuses.put(status)

    begin("application", beside)
    desktops[0].serve_main()
    return statuses.get()


def leave(status: int) -> None:
    """End the process now. All is closed by then; tearing the interpreter down would only take time."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def _build(options: Options, inbox: SimpleQueue[Message]) -> Application:
    """Open the database, recover the last launch, and wire everything; nothing runs yet."""
    clock = SteadyClock(machine := SystemClock())
    settings = SettingsFile(options.config)
    settings.read()
    first = None if settings.current.destinations else give_first_destination(options.state_dir, settings)
    state_dir, backups = options.state_dir, Backups(options.state_dir)
    store, clean = _opened(state_dir, backups, clock)
    process = this_process()
    recovery = store.launches.recover(process, clock.now())
    health = Health(store, recovery.launch_id, clock)
    health.begin(recovery)
    attempts = Attempts(store, settings, store.launches.installation_id(), process.host, health.reached)
    presence, changes = Presence(clock), Changes()
    components = Components(changes.notify)
    workers = WorkerPool(store, attempts, settings, recovery.launch_id, clock, changes.notify)
    gate, predicate = LaunchGate(store, recovery.launch_id, clock), StorePredicate(store, clock)
    page, token, progress = read_page_file(state_dir.page), secrets.token_urlsafe(TOKEN_BYTES), store.metrics.begin()

    def make(port: int) -> ServedApplication:
        from exlab_wizard.server import asgi, backend  # noqa: PLC0415 - loaded in the server's thread

        keep_page_file(state_dir.page, page, port)
        opened = partial(backend.Backend, store=store, settings=settings, state_dir=state_dir.root, clock=clock)
        begun = partial(opened, launch_id=recovery.launch_id, progress=progress, components=components, health=health)
        running = partial(begun, quit=coordinator, workers=workers, keeper=keeper, presence=presence, changes=changes)
        return asgi.HttpApplication(running(window=window), port=port, token=token, page_secret=page.secret)

    server = ServerRunner(make, state_dir.server, token=token, started_at=to_text(clock.now()), wanted_port=page.port)
    window = _window(options, server, presence, clock)
    remote = RemoteQuestion(store.quits, recovery.launch_id, machine)
    known = (store, recovery, settings, presence, changes, clock, components, window)
    notified, notices = _notices(options, *known, lambda: coordinator.phase)
    coordinator = QuitCoordinator(
        gate=gate,
        predicate=predicate,
        workers=workers,
        question=FirstAnswer([TerminalQuestion(), remote, ApiQuestion(presence), *notified]),
        window=window,
        server=server,
        clock=clock,
        window_s=settings.current.quit.window_s,
        session_end_window_s=settings.current.quit.session_end_window_s,
    )
    changes.subscribe(coordinator.changed)
    looked_after = (store, settings, workers, recovery.launch_id, clock)
    keeper = Keeper(
        *looked_after, health=health, quit_asked=lambda quits: inbox.put(QuitAsked(quits)), changed=changes.notify
    )
    housekeeping = Housekeeping(store, backups, settings, clock, check=clean)
    _watch_over(components, server, workers, keeper, housekeeping)
    targets = {name: destination.target for name, destination in settings.current.destinations.items()}
    ready = Ready(recovery.launch_id, recovery, state_dir.database, targets, first, health.safe_mode, _url(server))
    session_end = _session_end(inbox, workers, predicate, changes, store, components)
    parts = (workers, keeper, housekeeping, gate, coordinator, server, components)
    desk: list[Service] = [session_end, window, *notices]
    if not options.headless:
        control = Control(inbox, coordinator, store, recovery.launch_id, clock)
        desk += _desktop(options, control, changes, window, components, health)
    return Application(inbox, store, clock, ready, *parts, settings.current.quit.session_end_window_s, desk)


def _session_end(  # noqa: PLR0913, PLR0917 - wired once
    inbox: SimpleQueue[Message],
    workers: WorkerPool,
    predicate: StorePredicate,
    changes: Changes,
    store: Store,
    components: Components,
) -> SessionEnd:
    heard = Heard(lambda: inbox.put(SessionEnds()), workers.wake)
    session_end = SessionEnd(
        host_of_this_system(),
        heard,
        count=predicate.count,
        moving=lambda: workers.meter.last_minute() > 0,
        changes=changes,
        release=store.database.release,
    )
    components.add(Component("session", lambda: session_end.alive, "nothing holds back a shutdown"))
    return session_end


def _window(options: Options, server: ServerRunner, presence: Presence, clock: SteadyClock) -> WindowLauncher:
    if options.headless:
        return NoWindow()
    from exlab_wizard.tray.window_launcher import WindowLauncher as Launcher  # noqa: PLC0415 - nothing for a service

    return Launcher(options.state_dir.root, server.login_url, presence, clock, at_start=options.window)


def _desktop(  # noqa: PLR0913, PLR0917 - wired once
    options: Options,
    control: Control,
    changes: Changes,
    window: WindowLauncher,
    components: Components,
    health: Health,
) -> list[Service]:
    known = (control.store, control.launch_id, control.clock, control.coordinator, components, health)

    def make_icon(overview: Overview, act: Callable[[Act], None], lost: Callable[[], None]) -> Icon:
        from exlab_wizard.tray.icon.icon import TrayIcon  # noqa: PLC0415 - fails where no icon can be shown

        hear_display_end(lost)  # by now GTK has opened it
        return TrayIcon(overview, options.state_dir.pictures, act)

    desktop = Desktop(
        look=Overviews(*known).look,
        changes=changes,
        window=window,
        control=control,
        host=tray_host,
        make_icon=make_icon,
        window_at_start=options.window,
        release=control.store.database.release,
    )
    window.on_closed = desktop.window_closed
    components.add(Component("icon", lambda: desktop.alive, "the window is there, and exlab-wizard quit"))
    return [desktop, AutostartRepair(options.state_dir, options.config)]


def _notices(  # noqa: PLR0913, PLR0917 - wires them all together
    options: Options,
    store: Store,
    recovery: Recovery,
    settings: SettingsFile,
    presence: Presence,
    changes: Changes,
    clock: SteadyClock,
    components: Components,
    window: WindowLauncher,
    phase: Callable[[], Phase],
) -> tuple[list[Question], list[Service]]:
    """Return the question as a notification, and what tells the operator of the rest; nothing of it when headless."""
    if options.headless:
        return [], []
    from exlab_wizard.desktop.notifications.notifier import Notifications  # noqa: PLC0415 - likewise
    from exlab_wizard.desktop.notifications.watcher import Herald  # noqa: PLC0415 - nothing for a service
    from exlab_wizard.tray.quit_notification import NotifiedQuestion  # noqa: PLC0415 - likewise

    def quiet() -> bool:
        return presence.focused or not settings.current.notifications.enabled

    board = Notifications(window.open)
    herald = Herald(
        store,
        board,
        recovery,
        clock,
        quiet=quiet,
        offline_after_s=lambda: settings.current.notifications.offline_after_s,
        over=lambda: phase() is Phase.STOPPED,
    )
    changes.subscribe(herald.changed)
    components.add(Component("notifications", lambda: board.alive and herald.alive, "look at the window for news"))
    return [NotifiedQuestion(board, quiet, clock, settings.current.quit.window_s)], [board, herald]


def _watch_over(
    components: Components, server: ServerRunner, workers: WorkerPool, keeper: Keeper, housekeeping: Housekeeping
) -> None:
    for component in (
        Component("server", lambda: server.alive, "page and API do not answer; start the application again"),
        Component("workers", lambda: workers.alive, "fewer runs are synced at a time", workers.replace_dead),
        Component("keeper", lambda: keeper.alive, "sessions do not expire, stalls are not noticed", keeper.start),
        Component("housekeeping", lambda: housekeeping.alive, "nothing is backed up", housekeeping.start),
    ):
        components.add(component)


def _opened(state_dir: StateDir, backups: Backups, clock: SteadyClock) -> tuple[Store, bool]:
    """Return the database, up to date, and whether the last launch ended well; read through it when not."""
    database = Database(state_dir.database, journal_mode="delete" if is_network_path(state_dir.root) else None)
    migration.upgrade(database, backups, clock.now())
    store = Store(database)
    clean = store.launches.open_launch() is None
    if not clean:
        migration.quick_check(database)
    database.grow_wal()
    return store, clean


def _url(server: ServerRunner) -> str | None:
    """Return where the API will answer in a moment; None when it cannot."""
    try:
        return f"http://{HOST}:{server.bind()}/"
    except ServerError as error:
        log.error("%s", error)  # noqa: TRY400 - the sentence says it all
        return None

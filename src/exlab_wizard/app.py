"""The only assembly: builds the running application, top to bottom in the order of a launch.

open_state      settings are read, the database is up to date; the launch before this one is still open
recover         what that launch left is queued again, and this launch is a row: a crash from here on is recovered
_build_core     workers, watchdog and maintenance exist; nothing runs
_session_watch  what the system says of its end will be noticed
_build_http     a port is taken, so the address is known; the routes are loaded later, in the server's thread
build_display   window and notifications exist; a headless process loads nothing of them
_build_quit     the coordinator knows everything that it drains, asks and stops
build_desktop   the icon and the watcher for notifications exist; they show how a quit stands
_backend        the server may answer: all that it speaks of exists
MainLoop.run    services start, messages are taken, everything stops
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import sys
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from exlab_wizard.application import Core, Http, Inbox, MainLoop
from exlab_wizard.domain.clock import to_text
from exlab_wizard.launch import Launch, Opened, Options, open_state, recover
from exlab_wizard.process.identity import SystemClock
from exlab_wizard.process.instance_lock import instance_lock
from exlab_wizard.process.logs import log_launch, logbook
from exlab_wizard.process.session.port import SessionCallbacks
from exlab_wizard.process.session.watch import SessionWatch, host_of_this_system
from exlab_wizard.process.signals import signals_into
from exlab_wizard.process.supervisor import Supervised
from exlab_wizard.process.threads import begin
from exlab_wizard.server.auth.page_json import PageFile, keep_page_file, read_page_file
from exlab_wizard.server.backend import Backend
from exlab_wizard.store.store import Store
from exlab_wizard.tray.quit_coordinator import QuitCoordinator
from exlab_wizard.tray.quit_ports import NoWindow, QuitPrompt, ServedApplication, Window
from exlab_wizard.tray.quit_prompts import ApiPrompt, FirstAnswer, RemotePrompt, TerminalPrompt
from exlab_wizard.tray.server_runner import HOST, ServerError, ServerRunner
from exlab_wizard.workers.attempt import Attempts
from exlab_wizard.workers.maintenance import Maintenance
from exlab_wizard.workers.pool import WorkerPool
from exlab_wizard.workers.watchdog import Watchdog

if TYPE_CHECKING:
    from exlab_wizard.tray.icon.controller import IconController

log = logging.getLogger(__name__)

TOKEN_BYTES: Final = 32


def run(
    options: Options,
    companion: Callable[[Store], int] | None = None,
    announce: Callable[[MainLoop], None] | None = None,
) -> int:
    """Run the application until it has quit, and return the exit status.

    `announce` is called once, when work may begin. With a `companion` the application runs for its sake: it is called
    in a thread of its own, and when it returns the application drains, and its status is returned.

    Raises:
        InstanceHeldError: another process runs the application of this state dir.
        ExlabError: it cannot start; the message says what to do.
    """
    inbox: Inbox = SimpleQueue()
    options.state_dir.create()
    with (
        instance_lock(options.state_dir),
        signals_into(lambda number: inbox.put(lambda main: main.signal_received(number)), last=True),
        logbook(options.state_dir.logs),
    ):
        main_loop = _assemble(options, inbox)
        log_launch(main_loop.launch.id)
        if announce is not None:
            try:
                announce(main_loop)
            except OSError as error:  # a full disk, or a closed pipe: no reason to sync nothing
                log.warning("could not print the ready message: %s", error)
        desktop = main_loop.desktop
        if sys.platform == "darwin" and desktop is not None:  # there, only the main thread may show an icon
            return _run_beside(desktop.icon, partial(main_loop.run, companion))
        return main_loop.run(companion)


def leave(status: int) -> None:
    """End the process now. Everything is closed by then; tearing the interpreter down would only take time."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def _assemble(options: Options, inbox: Inbox) -> MainLoop:
    opened = open_state(options)
    launch = recover(opened)
    core = _build_core(opened, launch, inbox)
    session_watch = _session_watch(opened, launch, core, inbox)
    http = _build_http(opened, launch)
    window: Window = NoWindow()
    desktop = None
    if options.headless:
        coordinator = _build_quit(opened, launch, core, http, window)
    else:
        from exlab_wizard.app_desktop import build_desktop, build_display  # noqa: PLC0415 - never loaded when headless

        display = build_display(opened, launch, inbox, http.server.login_url)
        window = display.window
        coordinator = _build_quit(opened, launch, core, http, window, display.prompt)
        desktop = build_desktop(opened, launch, inbox, display, coordinator)
    http.backend.set_result(_backend(opened, launch, core, window, coordinator))
    return MainLoop(
        inbox=inbox,
        opened=opened,
        launch=launch,
        core=core,
        session_watch=session_watch,
        http=http,
        desktop=desktop,
        coordinator=coordinator,
    )


def _build_core(opened: Opened, launch: Launch, inbox: Inbox) -> Core:
    store, settings, clock, changed = opened.store, opened.settings, opened.clock, launch.changes.notify
    attempts = Attempts(store, settings, store.launches.installation_id(), launch.host, launch.safe_mode.healthy)
    workers = WorkerPool(store, attempts, launch.id, clock, changed)
    watchdog = Watchdog(
        store,
        settings,
        workers,
        launch.id,
        clock,
        safe_mode=launch.safe_mode,
        quit_asked=lambda quits: inbox.put(lambda main: main.quits_requested(quits)),
        changed=changed,
    )
    maintenance = Maintenance(store, opened.backups, settings, clock, check=opened.ended_well)
    stalls = "sessions do not expire and stalls go unnoticed"
    launch.supervisor.add(
        Supervised("workers", lambda: workers.alive, "fewer runs are synced at the same time", workers.replace_dead),
        Supervised("watchdog", lambda: watchdog.alive, stalls, watchdog.start),
        Supervised("maintenance", lambda: maintenance.alive, "there are no backups", maintenance.start),
    )
    return Core(workers=workers, watchdog=watchdog, maintenance=maintenance)


def _session_watch(opened: Opened, launch: Launch, core: Core, inbox: Inbox) -> SessionWatch:
    session_watch = SessionWatch(
        host_of_this_system(),
        SessionCallbacks(lambda: inbox.put(MainLoop.session_ends), core.workers.wake),
        count=launch.predicate.count,
        moving=lambda: core.workers.throughput.last_minute() > 0,
        changes=launch.changes,
        release=opened.store.database.release,
    )
    launch.supervisor.add(Supervised("session", lambda: session_watch.alive, "shutdowns are not delayed"))
    return session_watch


def _build_http(opened: Opened, launch: Launch) -> Http:
    state_dir, token = opened.options.state_dir, secrets.token_urlsafe(TOKEN_BYTES)
    page, backend = read_page_file(state_dir.page), Future[Backend]()
    server = ServerRunner(
        partial(_serve, backend, token, state_dir.page, page),
        state_dir.server,
        token=token,
        started_at=to_text(opened.clock.now()),
        wanted_port=page.port,
    )
    try:
        url = f"http://{HOST}:{server.bind()}/"
    except ServerError as error:
        log.error("%s", error)  # noqa: TRY400 - the sentence says it all
        url = None
    loss = "the page and the API are unavailable; restart the application"
    launch.supervisor.add(Supervised("server", lambda: server.alive, loss))
    return Http(server=server, url=url, backend=backend)


def _serve(backend: Future[Backend], token: str, file: Path, page: PageFile, port: int) -> ServedApplication:
    from exlab_wizard.server.asgi import HttpApplication  # noqa: PLC0415 - loaded in the server's thread

    keep_page_file(file, page, port)
    return HttpApplication(backend.result(), port=port, token=token, page_secret=page.secret)


def _build_quit(
    opened: Opened, launch: Launch, core: Core, http: Http, window: Window, *prompts: QuitPrompt
) -> QuitCoordinator:
    settings, store, presence = opened.settings.current.quit, opened.store, launch.presence
    coordinator = QuitCoordinator(
        gate=launch.gate,
        predicate=launch.predicate,
        workers=core.workers,
        question=FirstAnswer(
            [
                TerminalPrompt(),
                RemotePrompt(lambda: store.quits.undecided(launch.id), SystemClock()),
                ApiPrompt(lambda: presence.can_answer),
                *prompts,
            ]
        ),
        window=window,
        server=http.server,
        clock=opened.clock,
        window_s=settings.window_s,
        session_end_window_s=settings.session_end_window_s,
    )
    launch.changes.subscribe(coordinator.changed)
    return coordinator


def _backend(opened: Opened, launch: Launch, core: Core, window: Window, coordinator: QuitCoordinator) -> Backend:
    return Backend(
        store=opened.store,
        settings=opened.settings,
        state_dir=opened.options.state_dir.root,
        launch_id=launch.id,
        clock=opened.clock,
        quit=coordinator,
        workers=core.workers,
        watchdog=core.watchdog,
        presence=launch.presence,
        changes=launch.changes,
        supervisor=launch.supervisor,
        progress=opened.store.metrics.begin(),
        window=window,
        safe_mode=launch.safe_mode,
    )


def _run_beside(icon: IconController, run_main_loop: Callable[[], int]) -> int:
    """Lend this thread, the main one, to the icon while the main loop runs in another; return its status."""
    statuses: SimpleQueue[int] = SimpleQueue()

    def beside() -> None:
        status = 1
        try:
            status = run_main_loop()
        finally:
            icon.stop()
            statuses.put(status)

    begin("application", beside)
    icon.serve_main()
    return statuses.get()

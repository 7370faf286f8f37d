"""`run`: this process becomes the application."""

from __future__ import annotations

import logging
import os

import click

from exlab_wizard import __version__, app
from exlab_wizard.application import MainLoop
from exlab_wizard.cli.commands.open import show_window
from exlab_wizard.cli.options import Locations
from exlab_wizard.cli.terminal.output import emit, example, json_option, note, say
from exlab_wizard.cli.terminal.table import fields
from exlab_wizard.cli.terminal.words import moment
from exlab_wizard.domain.text.quit import resumption
from exlab_wizard.launch import Options
from exlab_wizard.process.autostart.relaunch import cut_loose
from exlab_wizard.process.instance_lock import InstanceHeldError, is_running
from exlab_wizard.process.logs import log_to_stderr
from exlab_wizard.process.open_store import last_open_launch
from exlab_wizard.process.window_request import NO_DISPLAY, has_display


@click.command(
    "run", epilog=example("exlab-wizard run", "exlab-wizard run --no-window", "exlab-wizard run --headless --json")
)
@click.option("--headless", is_flag=True, help="No tray icon and no window, as for a service.")
@click.option("--no-window", is_flag=True, help="Do not open a window at startup.")
@click.option("--background", is_flag=True, help="Once ready, log to the state dir only.")
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Log format on stderr."
)
@json_option
@click.pass_obj
def command(  # noqa: PLR0913 - one parameter for each option
    locations: Locations, *, headless: bool, no_window: bool, background: bool, log_format: str, as_json: bool
) -> None:
    """Start the application and stay in the foreground until it is quit.

    It resumes the unfinished runs of the last launch, then syncs the queued ones. Each state dir has one application:
    if it is already running, this command brings its window to the front and exits. Use it from its tray icon; on a
    desktop without a tray, from its window, and closing the window quits it; without a display it runs headless. It
    logs to stderr and to the state dir (`exlab-wizard logs`). Quit it from the icon, with Ctrl-C, or with
    `exlab-wizard quit`.
    """
    log_to_stderr(logging.INFO, as_json=log_format == "json")
    if not headless and not has_display():
        headless = True
        note(f"{NO_DISPLAY}: running headless, without icon and window")
    options = Options(state_dir=locations.state_dir, config=locations.config, headless=headless, window=not no_window)

    def announce(main_loop: MainLoop) -> None:
        _announce(main_loop, as_json=as_json)
        if background:
            cut_loose()

    while True:
        try:
            code = app.run(options, announce=announce)
        except InstanceHeldError:
            # Another command may hold the lock only to check whether the application runs.
            if is_running(locations.state_dir):
                window = None if headless or no_window else show_window(locations)
                _report_running(locations, window, as_json=as_json)
                return
        else:
            app.leave(code)


def _announce(main_loop: MainLoop, *, as_json: bool) -> None:
    opened, launch, recovery = main_loop.opened, main_loop.launch, main_loop.launch.recovery
    state_dir = opened.options.state_dir
    destinations = {name: known.target for name, known in opened.settings.current.destinations.items()}
    if as_json:
        emit(
            {
                "event": "ready",
                "launch_id": launch.id,
                "pid": os.getpid(),
                "version": __version__,
                "state_dir": str(state_dir.root),
                "database": str(state_dir.database),
                "url": main_loop.http.url,
                "destinations": destinations,
                "resumed": recovery.resumed,
                "crashed": recovery.crashed,
                "host_restarted": recovery.host_restarted,
                "safe_mode": launch.safe_mode.active,
            }
        )
        return
    say(f"exlab-wizard {__version__} is ready (pid {os.getpid()}, launch {launch.id}).")
    fields(
        [
            ("state dir", str(state_dir.root)),
            ("database", str(state_dir.database)),
            ("HTTP API", main_loop.http.url or "did not start; see the log"),
            *(("destination", f"{name} → {folder}") for name, folder in destinations.items()),
        ]
    )
    if opened.first_destination is not None:
        say(f"No destination was configured, so {opened.first_destination} was created for you to try things out.")
        say("Add your NAS with: exlab-wizard destination add NAME FOLDER")
    if recovery.resumed:
        say(resumption(recovery.resumed, unexpected=recovery.crashed or recovery.host_restarted))
    if launch.safe_mode.active:
        say("Safe mode: the last launches all ended within seconds, so syncing is paused for ten minutes.")
        say("Check the log. To sync now: exlab-wizard resume")
    say("Queue a run with: exlab-wizard sync PATH")


def _report_running(locations: Locations, window: str | None, *, as_json: bool) -> None:
    launch = last_open_launch(locations.state_dir)
    if as_json:
        emit({"event": "already_running", "pid": launch.pid if launch else None, "window": window})
    elif launch is None:
        say("exlab-wizard is already running; it is still starting")
    else:
        say(f"exlab-wizard is already running (pid {launch.pid}, since {moment(launch.started_at)})")
    if window is not None and not as_json:
        say("opened its window" if window == "opened" else "brought its window to the front")

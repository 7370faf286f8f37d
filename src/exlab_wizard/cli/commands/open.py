"""`open` and `admin`: a page in the window of the application, which is started first if it is not running."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Final
from urllib.parse import quote

import click

from exlab_wizard.cli.options import Locations
from exlab_wizard.cli.terminal.output import emit, example, json_option, note, say
from exlab_wizard.client import AnswerError, UnreachableError
from exlab_wizard.client.http import Answer, Transport
from exlab_wizard.errors import ExlabError, UsageError
from exlab_wizard.process.autostart.relaunch import last_said, start_detached
from exlab_wizard.process.instance_lock import is_running
from exlab_wizard.process.server_json import ServerAddress
from exlab_wizard.process.window_request import LONGEST_PAGE, PAGE, has_display

START_TIMEOUT_SECONDS: Final = 30.0
RUNNING_TIMEOUT_SECONDS: Final = 5.0
"""For an application that is already running, and may still be starting."""
SHOW_TIMEOUT_SECONDS: Final = 40.0
_POLL_INTERVAL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class OpenResult:
    """The result: `window` is `opened`, `focused` or `link`, and `by` names the program that shows it."""

    started: bool
    window: str
    by: str
    url: str | None = None


@click.command("open", epilog=example("exlab-wizard open", "exlab-wizard open --page /history"))
@click.option("--page", default="/", show_default=True, metavar="PATH", help="Page to open.")
@json_option
@click.pass_obj
def command(locations: Locations, *, page: str, as_json: bool) -> None:
    """Open the window or bring it to the front; start the application, detached, if it is not running.

    If the application has no desktop, the page opens in your desktop's browser. Without any desktop, as over SSH,
    this command prints a link that works once, for 30 seconds.
    """
    _open_page(locations, page, as_json=as_json)


@click.command("admin", epilog=example("exlab-wizard admin"))
@json_option
@click.pass_obj
def admin(locations: Locations, *, as_json: bool) -> None:
    """Browse the live database in the window: tables and views with their meanings, saved questions, SQL.

    It is read-only. It needs the extra `admin`: pip install 'exlab-wizard[admin]'. Like `open`, this
    starts the application if it is not running, and prints a link where there is no desktop.
    """
    if find_spec("datasette") is None:
        raise ExlabError("browsing needs the extra `admin`; install it with: pip install 'exlab-wizard[admin]'")
    _open_page(locations, "/admin/", as_json=as_json)


def _open_page(locations: Locations, page: str, *, as_json: bool) -> None:
    """Show `page` in the window, starting the application if needed, and print the result."""
    if len(page) > LONGEST_PAGE or not PAGE.fullmatch(page):
        msg = f"{page!r} is not a page of the application; give one such as /history"
        raise UsageError(msg)
    process = None if is_running(locations.state_dir) else start_detached(locations.state_dir, locations.config)
    transport = Transport(locations.state_dir, answer_s=SHOW_TIMEOUT_SECONDS)
    address = _once_it_answers(locations, transport, process)
    # Another process may have been faster; then ours finds the lock taken, and exits. On Windows the Python of a
    # virtual environment starts the real one as a child, so its pid says nothing.
    ours = process is not None and (os.name == "nt" or address.pid == process.pid)
    try:
        opened = _shown(transport, page, started=ours)
    except AnswerError as error:
        if error.code != "no_window":
            raise
        opened = _in_a_browser(transport, page, started=ours)
    if as_json:
        emit(asdict(opened))
        return
    if opened.started:
        say("started exlab-wizard; it keeps running when this terminal closes")
    words = {"opened": "opened the window", "focused": "brought the window to the front"}
    if opened.url is None:
        say(f"{words[opened.window]} ({opened.by})")
    else:
        note("no desktop found; this link works once, for 30 s, from your account on this machine:")
        say(opened.url)


def show_window(locations: Locations) -> str | None:
    """Let the running application show its window: `opened` or `focused`; None if it has none or does not answer."""
    transport = Transport(locations.state_dir, answer_s=SHOW_TIMEOUT_SECONDS)
    try:
        _once_it_answers(locations, transport, None, RUNNING_TIMEOUT_SECONDS)
        return _shown(transport, "/", started=False).window
    except ExlabError:
        return None


def _once_it_answers(
    locations: Locations,
    transport: Transport,
    process: subprocess.Popen[bytes] | None,
    timeout_s: float = START_TIMEOUT_SECONDS,
) -> ServerAddress:
    """Return where the application's server is once it answers; `process` was just started, if there is one."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return transport.address()
        except UnreachableError as error:
            status = None if process is None else process.poll()
            if status:
                msg = f"exlab-wizard did not start: {last_said(locations.state_dir) or f'status {status}'}"
                raise ExlabError(msg) from error
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_INTERVAL_SECONDS)


def _shown(transport: Transport, page: str, *, started: bool) -> OpenResult:
    answer = transport.call("POST", "/window/open", {"page": page}, repeat=False)
    # An application that was just started has already opened its window.
    return OpenResult(started, "opened" if started else _text(answer, "how"), _text(answer, "by"))


def _in_a_browser(transport: Transport, page: str, *, started: bool) -> OpenResult:
    from exlab_wizard.desktop.window.surfaces import BrowserTab, SurfaceError  # noqa: PLC0415 - only without a window

    path = _text(transport.call("POST", "/login", repeat=False), "path")
    url = transport.address().url.rstrip("/") + path + ("" if page == "/" else f"&page={quote(page, safe='/')}")
    if has_display() or os.environ.get("BROWSER"):
        with contextlib.suppress(SurfaceError):
            BrowserTab().open(url)
            return OpenResult(started, "opened", "browser")
    return OpenResult(started, "link", "nothing", url)


def _text(answer: Answer, name: str) -> str:
    value = answer.document.get(name)
    if not isinstance(value, str):
        msg = f"the application's answer lacks {name!r}: it is a different version. Quit it and start it again."
        raise ExlabError(msg)
    return value

"""`open`: the window of the running application, which is started first where none runs."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import asdict, dataclass
from typing import Final
from urllib.parse import quote

import click

from exlab_wizard.cli.locations import Locations
from exlab_wizard.cli.terminal.output import emit, example, json_option, note, say
from exlab_wizard.client import AnswerError, UnreachableError
from exlab_wizard.client.http import Answer, Wire
from exlab_wizard.errors import ExlabError, UsageError
from exlab_wizard.process.display import has_display
from exlab_wizard.process.instance_lock import is_running
from exlab_wizard.process.relaunch import last_said, start_detached
from exlab_wizard.process.window_request import LONGEST_PAGE, PAGE

START_SECONDS: Final = 30.0
RUNNING_SECONDS: Final = 5.0
"""For one that runs already, and may just be starting."""
SHOW_SECONDS: Final = 40.0
_POLL_INTERVAL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Opened:
    """What was done: `window` is `opened`, `focused` or `link`, and `by` says what shows it."""

    started: bool
    window: str
    by: str
    url: str | None = None


@click.command("open", epilog=example("exlab-wizard open", "exlab-wizard open --page /history"))
@click.option("--page", default="/", show_default=True, metavar="PATH", help="The page to see.")
@json_option
@click.pass_obj
def command(locations: Locations, *, page: str, as_json: bool) -> None:
    """Open the window, or bring it to the front; start the application, detached, if it does not run.

    Where the application has no desktop, the page opens in the browser of this one; without any, as over SSH, this
    prints a link that is good once, within 30 seconds.
    """
    open_page(locations, page, as_json=as_json)


def open_page(locations: Locations, page: str, *, as_json: bool) -> None:
    """Show `page` in the window, starting the application if need be, and tell what was done.

    Raises:
        UsageError: that is no page of ours; nothing was started.
        ExlabError: it does not start or does not answer; the message says why.
    """
    if len(page) > LONGEST_PAGE or not PAGE.fullmatch(page):
        msg = f"no page: {page!r}. Name a page of the application, such as /history"
        raise UsageError(msg)
    process = None if is_running(locations.state_dir) else start_detached(locations.state_dir, locations.config)
    wire = Wire(locations.state_dir, answer_s=SHOW_SECONDS)
    wait_until_it_answers(locations, wire, process)
    # Somebody else may have been faster: then ours finds the lock taken, and ends. On Windows an environment's Python
    # has a child that is the real one, so its pid says nothing.
    ours = process is not None and (os.name == "nt" or wire.location().pid == process.pid)
    opened = _open(wire, page, started=ours)
    if as_json:
        emit(asdict(opened))
        return
    if opened.started:
        say("exlab-wizard was not running: it is started, and stays when this terminal closes")
    words = {"opened": "the window is open", "focused": "the window was open already: it is in front now"}
    if opened.url is None:
        say(f"{words[opened.window]} ({opened.by})")
    else:
        note("there is no desktop here; this link is good once, within 30 s, for your account on this machine:")
        say(opened.url)


def show_window(locations: Locations) -> Opened | None:
    """Let the running application show its window; None where it does not answer, or has none."""
    wire = Wire(locations.state_dir, answer_s=SHOW_SECONDS)
    try:
        wait_until_it_answers(locations, wire, None, RUNNING_SECONDS)
        return _shown(wire, "/", started=False)
    except ExlabError:
        return None


def wait_until_it_answers(
    locations: Locations, wire: Wire, process: subprocess.Popen[bytes] | None, timeout_s: float = START_SECONDS
) -> None:
    """Return when the application's server answers; `process` is the one that was just started, if any.

    Raises:
        ExlabError: it ended, or did not answer in time.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            wire.location()
        except UnreachableError as error:
            status = None if process is None else process.poll()
            if status:
                msg = f"exlab-wizard did not start: {last_said(locations.state_dir) or f'status {status}'}"
                raise ExlabError(msg) from error
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_INTERVAL_SECONDS)
        else:
            return


def _open(wire: Wire, page: str, *, started: bool) -> Opened:
    try:
        return _shown(wire, page, started=started)
    except AnswerError as error:
        if error.code != "no_window":
            raise
    return _in_a_browser(wire, page, started=started)


def _shown(wire: Wire, page: str, *, started: bool) -> Opened:
    answer = wire.call("POST", "/window/open", {"page": page}, repeat=False)
    # An application that was just started opens its window by itself; then it is in front already.
    return Opened(started, "opened" if started else _text(answer, "how"), _text(answer, "by"))


def _in_a_browser(wire: Wire, page: str, *, started: bool) -> Opened:
    from exlab_wizard.desktop.window.surfaces import Browser, SurfaceError  # noqa: PLC0415 - for those without a window only

    path = _text(wire.call("POST", "/login", repeat=False), "path")
    url = wire.location().url.rstrip("/") + path + ("" if page == "/" else f"&page={quote(page, safe='/')}")
    if has_display() or os.environ.get("BROWSER"):
        try:
            Browser().open(url)
        except SurfaceError:
            return Opened(started, "link", "nothing", url)
        return Opened(started, "opened", "browser")
    return Opened(started, "link", "nothing", url)


def _text(answer: Answer, name: str) -> str:
    value = answer.document.get(name)
    if not isinstance(value, str):
        msg = f"the application answers without {name!r}: it is of another version. Quit it and start it again."
        raise ExlabError(msg)
    return value

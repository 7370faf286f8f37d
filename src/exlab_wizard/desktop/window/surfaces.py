"""The ways to show the page on a desktop: a web view of our own, Chromium without its bars, the default browser."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Final, Protocol

from exlab_wizard.desktop.window.chromium_pipe import DevTools, DevToolsError
from exlab_wizard.desktop.window.spawn import Spawned, spawn
from exlab_wizard.errors import ExlabError
from exlab_wizard.process.display import has_display

CLOSED_SECONDS: Final = 1.0
"""After the end of a window's process; another page of ours may just be loading elsewhere."""
TAB_CLOSED_SECONDS: Final = 60.0
"""Of a tab only its event stream is known, and browsers put tabs to sleep."""
END_SECONDS: Final = 0.3
BROWSER_SECONDS: Final = 5.0
_READ_BYTES: Final = 1 << 16
TITLE: Final = "ExLab-Wizard"
_FLAGS: Final = (
    "--class=exlab-wizard",
    "--no-first-run",
    "--no-default-browser-check",
    "--hide-crash-restore-bubble",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--password-store=basic",  # without it a keyring may ask the operator for its password
)
_ON_PATH: Final = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "microsoft-edge-stable",
)
_ON_MACOS: Final = (
    "Google Chrome.app/Contents/MacOS/Google Chrome",
    "Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    "Chromium.app/Contents/MacOS/Chromium",
)
_ON_WINDOWS: Final = ("Microsoft/Edge/Application/msedge.exe", "Google/Chrome/Application/chrome.exe")


class SurfaceError(ExlabError):
    """The page cannot be shown in this way."""


class Surface(Protocol):
    """One window that was opened, or is about to be. For one thread."""

    @property
    def kind(self) -> str:
        """`webview`, `chromium` or `browser`."""

    @property
    def timeout_s(self) -> float:
        """How long no page must be heard of before the window counts as closed."""

    def open(self, url: str) -> None:
        """Open it.

        Raises:
            SurfaceError: it cannot be.
        """

    def front(self, url: str | None) -> bool:
        """Bring it to the front, with another page in it where `url` is given; False: it must be opened anew."""

    def ended(self) -> int | None:
        """Return the exit status of its process; None while that lives, and where there is none of ours."""

    def trouble(self) -> str:
        """Return what it said last, once it has ended; empty where it said nothing, or nobody listened."""

    def close(self) -> None:
        """End it, within a second."""


class Webview:
    """A window of our own, in a process of its own; the URL goes to it over its standard input."""

    kind = "webview"
    timeout_s = CLOSED_SECONDS

    def __init__(self) -> None:
        """Start nothing yet."""
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None

    def open(self, url: str) -> None:
        """Start the process and tell it the URL."""
        command = [sys.executable, "-P", "-m", "exlab_wizard.desktop.window.webview"]
        try:
            self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with the window
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._said, start_new_session=True
            )
        except OSError as error:
            msg = f"the window process cannot start: {error}"
            raise SurfaceError(msg) from error
        self.front(url)

    def front(self, url: str | None) -> bool:
        """Tell the process to come to the front."""
        stdin = self._stdin()
        if stdin is None:
            return False
        try:
            stdin.write(json.dumps({"title": TITLE, "url": url}).encode() + b"\n")
            stdin.flush()
        except OSError:
            return False
        return True

    def ended(self) -> int | None:
        """Return the exit status of the process."""
        return None if self._process is None else self._process.poll()

    def trouble(self) -> str:
        """Return the last line of what it said: a toolkit that is missing is told there."""
        if self._said is None or self._said.closed:
            return ""
        self._said.seek(0)
        lines = self._said.read(_READ_BYTES).decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def close(self) -> None:
        """Close its standard input, at which it ends; end it otherwise."""
        stdin = self._stdin()
        if stdin is not None:
            with contextlib.suppress(OSError):
                stdin.close()
        if self._process is not None:
            end(self._process)
        if self._said is not None:
            self._said.close()

    def _stdin(self) -> IO[bytes] | None:
        return None if self._process is None else self._process.stdin


class Chromium:
    """Chromium, Chrome or Edge with a profile of our own and without its bars; its process ends with the window."""

    kind = "chromium"
    timeout_s = CLOSED_SECONDS

    def __init__(self, program: str, profile: Path) -> None:
        """Start nothing yet; `profile` is made when it is needed, for our account only."""
        self._program = program
        self._profile = profile
        self._process: Spawned | subprocess.Popen[bytes] | None = None
        self._tools: DevTools | None = None

    def open(self, url: str) -> None:
        """Start it at `url`; the code in that is good once, for our account."""
        try:
            self._profile.mkdir(mode=0o700, exist_ok=True)
            first = not (self._profile / "Default").exists()
            command = [self._program, f"--app={url}", f"--user-data-dir={self._profile}", *_FLAGS]
            command += ["--window-size=1120,780"] if first else []
            if sys.platform == "win32":
                self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
            else:
                self._process, answers, commands = spawn([*command, "--remote-debugging-pipe"])
                self._tools = DevTools(answers, commands)
        except OSError as error:
            msg = f"{self._program} cannot start: {error}"
            raise SurfaceError(msg) from error

    def front(self, url: str | None) -> bool:
        """Bring it to the front over its control channel; where it has none, it has to be opened anew."""
        try:
            return self._tools is not None and self._tools.front(url)
        except DevToolsError:
            return False

    def ended(self) -> int | None:
        """Return the exit status of its process."""
        return None if self._process is None else self._process.poll()

    def trouble(self) -> str:
        """Return nothing: what Chromium says is endless, and for its makers."""
        return ""

    def close(self) -> None:
        """Close the control channel, at which it ends; end it otherwise."""
        if self._tools is not None:
            self._tools.close()
        if self._process is not None:
            end(self._process)


class Browser:
    """A tab of the default browser. It is somebody else's: it cannot be brought to the front, or closed."""

    kind = "browser"
    timeout_s = TAB_CLOSED_SECONDS

    def open(self, url: str) -> None:
        """Hand the URL over."""
        taken: list[bool] = []
        # A browser for the terminal, or one of the operator's own, may hold its caller for as long as it runs.
        asking = threading.Thread(target=lambda: taken.append(webbrowser.open(url)), name="browser", daemon=True)
        asking.start()
        asking.join(BROWSER_SECONDS)
        if taken == [False] or not (taken or asking.is_alive()):
            msg = "no browser was found; install Chromium or Edge, or name yours in BROWSER"
            raise SurfaceError(msg)

    def front(self, url: str | None) -> bool:  # noqa: ARG002 - a tab of ours in there cannot be reached
        """Return False: only opening it anew brings it to the front; the tab that is open then gives way."""
        return False

    def ended(self) -> int | None:
        """Return None: nobody tells."""
        return None

    def trouble(self) -> str:
        """Return nothing: nobody listens to it."""
        return ""

    def close(self) -> None:
        """Leave it: its page says by itself that the application has quit."""


def end(process: Spawned | subprocess.Popen[bytes]) -> None:
    """Let the process end by itself; ask it to, then kill it, where it does not."""
    for push in (process.terminate, process.kill):
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            push()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(END_SECONDS)


def surfaces(state_dir: Path, environ: Mapping[str, str]) -> Iterator[Callable[[], Surface]]:
    """Yield the ways that this desktop has, the best first."""
    if has_display(environ):
        if importlib.util.find_spec("webview") is not None:
            yield Webview
        program = find_chromium(environ)
        if program is not None:
            yield lambda: Chromium(program, state_dir / "window")
    if has_display(environ) or environ.get("BROWSER"):
        yield Browser


def find_chromium(environ: Mapping[str, str], system: str = sys.platform) -> str | None:
    """Return the first of Chromium, Chrome and Edge that is installed."""
    if system == "win32":
        roots = [environ.get(name, "") for name in ("ProgramFiles(x86)", "ProgramFiles", "LocalAppData")]
        places = [Path(root) / name for name in _ON_WINDOWS for root in roots if root]
    elif system == "darwin":
        homes = (Path("/Applications"), Path(environ.get("HOME", "/")) / "Applications")
        places = [home / name for name in _ON_MACOS for home in homes]
    else:
        found = [shutil.which(name, path=environ.get("PATH")) for name in _ON_PATH]
        places = [Path(program) for program in found if program is not None and not _is_snap(program)]
    return next((str(place) for place in places if os.access(place, os.X_OK)), None)


def _is_snap(program: str) -> bool:
    """Return whether a browser is confined in a way that hides our profile from it."""
    where = Path(program).resolve()
    return where.name == "snap" or Path("/snap") in where.parents

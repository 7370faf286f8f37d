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
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Final

import psutil

from exlab_wizard.desktop.window.chromium_pipe import DevTools, DevToolsError, Spawned, spawn
from exlab_wizard.errors import ExlabError
from exlab_wizard.process.window_request import has_display

CLOSED_SECONDS: Final = 1.0
"""After the end of a window's process: another page of ours may just be loading elsewhere."""
TAB_CLOSED_SECONDS: Final = 60.0
"""Only the event stream of a tab is known, and browsers suspend tabs."""
END_TIMEOUT_SECONDS: Final = 0.3
BROWSER_TIMEOUT_SECONDS: Final = 5.0
_STILL_RUNS: Final = (subprocess.TimeoutExpired, psutil.TimeoutExpired)
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
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    *("microsoft-edge", "microsoft-edge-stable"),
)
_ON_MACOS: Final = (
    "Google Chrome.app/Contents/MacOS/Google Chrome",
    "Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    "Chromium.app/Contents/MacOS/Chromium",
)
_ON_WINDOWS: Final = ("Microsoft/Edge/Application/msedge.exe", "Google/Chrome/Application/chrome.exe")


class SurfaceError(ExlabError):
    """The page cannot be shown in this way."""


class Surface(ABC):
    """One window, open or about to be. For one thread."""

    kind: str
    """`webview`, `chromium` or `browser`."""
    timeout_s = CLOSED_SECONDS
    """How long its page must be disconnected before the window counts as closed."""

    def __init__(self) -> None:
        self._process: Spawned | subprocess.Popen[bytes] | None = None

    @abstractmethod
    def open(self, url: str) -> None:
        """Open it; the code in `url` works once.

        Raises:
            SurfaceError: it cannot be opened.
        """

    @abstractmethod
    def front(self, url: str | None) -> bool:
        """Bring it to the front, and load `url` if given; return False if it must be opened again."""

    def ended(self) -> int | None:
        """Return the exit status of its process; None while it runs, and if it is not ours."""
        return None if self._process is None else self._process.poll()

    def trouble(self) -> str:
        """Return the last line of its output, once it has ended; empty if there is none."""
        return ""

    def close(self) -> None:
        """Wait for its process to exit, within a second; terminate it if it does not, then kill it."""
        if self._process is None:
            return
        for push in (self._process.terminate, self._process.kill):
            try:
                self._process.wait(END_TIMEOUT_SECONDS)
            except _STILL_RUNS:
                with contextlib.suppress(psutil.NoSuchProcess):
                    push()
        with contextlib.suppress(*_STILL_RUNS):
            self._process.wait(END_TIMEOUT_SECONDS)


class Webview(Surface):
    """A window of our own, in a process of its own; the URL goes to it over its standard input."""

    kind = "webview"

    def __init__(self) -> None:
        super().__init__()
        self._stdin: IO[bytes] | None = None
        self._said: IO[bytes] | None = None

    def open(self, url: str) -> None:
        """Start the process and send it the URL."""
        command = [sys.executable, "-P", "-m", "exlab_wizard.desktop.window.webview"]
        try:
            self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with the window
            self._process = process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._said, start_new_session=True
            )
        except OSError as error:
            msg = f"the window process cannot start: {error}"
            raise SurfaceError(msg) from error
        self._stdin = process.stdin
        self.front(url)

    def front(self, url: str | None) -> bool:
        """Send the process to the front."""
        if self._stdin is None:
            return False
        try:
            self._stdin.write(json.dumps({"title": TITLE, "url": url}).encode() + b"\n")
            self._stdin.flush()
        except OSError:
            return False
        return True

    def trouble(self) -> str:
        """Return the last line of its output, which names a missing toolkit."""
        if self._said is None or self._said.closed:
            return ""
        self._said.seek(0)
        lines = self._said.read(_READ_BYTES).decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def close(self) -> None:
        """Close its standard input, at which it exits."""
        if self._stdin is not None:
            with contextlib.suppress(OSError):
                self._stdin.close()
        super().close()
        if self._said is not None:
            self._said.close()


class Chromium(Surface):
    """Chromium, Chrome or Edge without its bars; its process ends with the window.

    It has a profile of our own, which is made when it is needed, for our account only.
    """

    kind = "chromium"

    def __init__(self, program: str, profile: Path) -> None:
        super().__init__()
        self._program = program
        self._profile = profile
        self._tools: DevTools | None = None

    def open(self, url: str) -> None:
        """Start it at `url`."""
        try:
            self._profile.mkdir(mode=0o700, exist_ok=True)
            first = not (self._profile / "Default").exists()
            command = [self._program, f"--app={url}", f"--user-data-dir={self._profile}", *_FLAGS]
            command += ["--window-size=1120,780"] if first else []
            if sys.platform == "win32":
                self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
            else:
                self._process, self._tools = spawn([*command, "--remote-debugging-pipe"])
        except OSError as error:
            msg = f"{self._program} cannot start: {error}"
            raise SurfaceError(msg) from error

    def front(self, url: str | None) -> bool:
        """Bring it to the front over its control channel; without one it must be opened again."""
        try:
            return self._tools is not None and self._tools.front(url)
        except DevToolsError:
            return False

    def close(self) -> None:
        """Close the control channel, at which it exits."""
        if self._tools is not None:
            self._tools.close()
        super().close()


class BrowserTab(Surface):
    """A tab of the default browser, which we can neither bring to the front nor close.

    It stays open at the end: its page shows that the application has quit.
    """

    kind = "browser"
    timeout_s = TAB_CLOSED_SECONDS

    def open(self, url: str) -> None:
        """Hand the URL over."""
        results: list[bool] = []
        # A browser for the terminal, or one of the operator's own, may block its caller for as long as it runs.
        opening = threading.Thread(target=lambda: results.append(webbrowser.open(url)), name="browser", daemon=True)
        opening.start()
        opening.join(BROWSER_TIMEOUT_SECONDS)
        if results == [False] or not (results or opening.is_alive()):
            raise SurfaceError("no browser was found. Install Chromium or Edge, or name yours in BROWSER.")

    def front(self, url: str | None) -> bool:  # noqa: ARG002 - a tab cannot be reached
        """Return False: only a new tab comes to the front; the old one then closes."""
        return False


def surfaces(state_dir: Path, environ: Mapping[str, str]) -> Iterator[Callable[[], Surface]]:
    """Yield the ways to open a window on this desktop, the best first."""
    if has_display(environ):
        if importlib.util.find_spec("webview") is not None:
            yield Webview
        program = find_chromium(environ)
        if program is not None:
            yield lambda: Chromium(program, state_dir / "window")
    if has_display(environ) or environ.get("BROWSER"):
        yield BrowserTab


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

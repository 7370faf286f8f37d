"""A display of its own with a window manager, and browsers that run on it: for tests of what an operator sees."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.program import PATIENCE_SECONDS, until

CLASS: Final = "exlab-wizard"


@dataclass(frozen=True)
class Screen:
    """The environment of programs that run on the display, and what is to be seen there."""

    environ: dict[str, str]

    def windows(self) -> list[str]:
        """Return the visible windows of the application."""
        return self._ask("search", "--onlyvisible", "--class", CLASS).split()

    def active(self) -> str:
        """Return the window that has the keyboard."""
        return self._ask("getactivewindow").strip()

    def minimize(self, window: str) -> None:
        self._ask("windowminimize", "--sync", window)

    def close_active(self) -> None:
        """Close the window that has the keyboard, as an operator does."""
        self._ask("key", "alt+F4")

    def _ask(self, *words: str) -> str:
        done = subprocess.run(["xdotool", *words], env=self.environ, capture_output=True, text=True, check=False)
        return done.stdout


@contextmanager
def screen(home: Path) -> Iterator[Screen]:
    """Yield a fresh display; its programs end with it."""
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x900x24", "-nolisten", "tcp", "-noreset"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as told:
        number = told.readline().strip()
    environ = {name: value for name, value in os.environ.items() if name != "DBUS_SESSION_BUS_ADDRESS"}
    environ |= {"DISPLAY": f":{number}", "PATH": f"{browser_folder(home)}{os.pathsep}{environ['PATH']}"}
    manager = subprocess.Popen(["openbox"], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        shown = Screen(environ)
        until(lambda: "_NET_SUPPORTED" in root_properties(environ), what="the window manager")
        yield shown
    finally:
        for process in (manager, server):
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def root_properties(environ: Mapping[str, str]) -> str:
    done = subprocess.run(["xprop", "-root"], env=environ, capture_output=True, text=True, check=False)
    return done.stdout


def browser_folder(home: Path) -> Path:
    """Return a folder with a `chromium` that runs where its sandbox cannot: as root, in a container."""
    return script(home / "bin" / "chromium", 'exec /usr/bin/chromium --no-sandbox --disable-gpu "$@"').parent


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n", "utf-8")
    path.chmod(0o755)
    return path

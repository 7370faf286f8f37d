"""Notification daemons that desktops have, on a display and a bus of the test's own: nothing leaves them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.program import PATIENCE_SECONDS, until

_SERVICE: Final = Path("/usr/share/dbus-1/services/org.xfce.xfce4-notifyd.Notifications.service")
_DUNSTRC: Final = """[global]
font = DejaVu Sans 11
width = 460
offset = 20x20
format = "<b>%s</b>\\n%b"
"""
_BUTTON_ROW: Final = 30
"""How far above the lower edge of a popup of Xfce the middle of its buttons lies."""


def environment(home: Path, display: str, bus: str) -> dict[str, str]:
    """Return what a program of a desktop needs, with a home of its own."""
    home.mkdir(parents=True, exist_ok=True)
    folders = {name: str(home) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")}
    more = {"DISPLAY": display, "DBUS_SESSION_BUS_ADDRESS": bus, "NO_AT_BRIDGE": "1", "GTK_THEME": "Adwaita"}
    return {**os.environ, **folders, **more}


@contextlib.contextmanager
def running(command: list[str], environ: Mapping[str, str]) -> Iterator[None]:
    """Run one program for the length of a block."""
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


@dataclass(frozen=True)
class Dunst:
    """dunst, as its own command line knows it."""

    environ: Mapping[str, str]

    def count(self) -> tuple[int, int]:
        """Return how many notifications stand, and how many have been closed."""
        said = self._ctl("count")
        found = re.search(r"displayed: (\d+)\s+History: (\d+)", said)
        assert found, said
        return int(found[1]), int(found[2])

    def last_closed(self) -> dict[str, str]:
        """Return summary and body of what was closed last."""
        first = json.loads(self._ctl("history"))["data"][0][0]
        return {name: first[name]["data"] for name in ("summary", "body", "appname")}

    def click(self) -> None:
        """Do what a click on the newest notification does."""
        self._ctl("action", "0")

    def _ctl(self, *words: str) -> str:
        done = subprocess.run(["dunstctl", *words], env=self.environ, capture_output=True, text=True, check=True)
        return done.stdout


@contextlib.contextmanager
def dunst(home: Path, display: str, bus: str) -> Iterator[Dunst]:
    environ = environment(home, display, bus)
    (home / "dunstrc").write_text(_DUNSTRC, encoding="utf-8")
    with running(["dunst", "-config", str(home / "dunstrc")], environ):
        yield Dunst(environ)


@dataclass(frozen=True)
class Xfce:
    """The daemon of Xfce, which draws buttons."""

    environ: Mapping[str, str]

    def click(self, button: int, buttons: int) -> None:
        """Press one of so many buttons, counted from the left, with the mouse."""
        x, y, width, height = until(self._popup, what="the popup to be on the screen")
        across = x + width * (2 * button + 1) // (2 * buttons)
        self._xdo("mousemove", str(across), str(y + height - _BUTTON_ROW), "click", "1")

    def _popup(self) -> tuple[int, int, int, int] | None:
        """Return where the popup is, once it has stopped moving."""
        first, second = self._geometry(), self._geometry()
        return second if first == second else None

    def _geometry(self) -> tuple[int, int, int, int] | None:
        said = self._xdo("search", "--onlyvisible", "--class", "notifyd", "getwindowgeometry", "--shell", "%@")
        found = dict(re.findall(r"^(\w+)=(-?\d+)$", said, re.MULTILINE))
        if not found or int(found["HEIGHT"]) <= _BUTTON_ROW:
            return None
        return int(found["X"]), int(found["Y"]), int(found["WIDTH"]), int(found["HEIGHT"])

    def _xdo(self, *words: str) -> str:
        command = ["xdotool", *words]
        done = subprocess.run(
            command, env=self.environ, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
        )
        return done.stdout


@contextlib.contextmanager
def xfce(home: Path, display: str, bus: str) -> Iterator[Xfce]:
    environ = environment(home, display, bus)
    found = re.search(r"^Exec=(.+)$", _SERVICE.read_text(encoding="utf-8"), re.MULTILINE)
    assert found, "where xfce4-notifyd is"
    with running(found[1].split(), environ):
        yield Xfce(environ)

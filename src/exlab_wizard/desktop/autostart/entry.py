"""Starts the application at log-in, the way each system has for it; one entry for each account.

What is written names the program, the state dir and the configuration in full, so that it means the same whatever the
environment says at log-in. An entry whose program is gone, since it was moved or installed anew, is put right by the
next launch for the same state dir; the entry of another state dir is never touched without being asked. Who switches it
off with a tool of the desktop has switched it off.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from exlab_wizard.desktop.autostart.port import AutostartError, Entry, Launch, Place
from exlab_wizard.errors import ExlabError
from exlab_wizard.paths import StateDir
from exlab_wizard.process.relaunch import LoginStart, command
from exlab_wizard.settings import SettingsFile

_T = TypeVar("_T")
log = logging.getLogger(__name__)

STOP_RESERVE_SECONDS: Final = 10
"""What the system waits beyond our own window at session end before it kills."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How autostart stands."""

    on: bool
    places: dict[str, str]
    """By kind, what starts the application at log-in."""
    program: str | None = None
    state_dir: str | None = None
    stale: bool = False
    """The program is gone, or the entry is not what it should be."""


class Autostart:
    """The entries of this account."""

    def __init__(self, places: Sequence[Place], launch: Launch) -> None:
        """Work on `places`, for `launch`."""
        self._places = places
        self._launch = launch

    def status(self) -> Standing:
        """Return how it stands.

        Raises:
            AutostartError: it cannot be told.
        """
        found = self._found()
        if not found or any(entry.disabled for _, entry in found):
            return Standing(on=False, places={})
        program, state_dir = found[0][1].program, found[0][1].state_dir
        ours = state_dir == self._launch.state_dir
        stale = len(found) < len(self._places) or any(
            not _exists(entry.program) or (ours and entry.text != place.text(self._launch)) for place, entry in found
        )
        where = {place.kind: place.where for place, _ in found}
        return Standing(on=True, places=where, program=program, state_dir=state_dir, stale=stale)

    def switch_on(self) -> bool:
        """Let the application start at log-in; return whether anything had to be changed.

        Raises:
            AutostartError: it cannot be.
        """
        texts = [(place, place.text(self._launch)) for place in self._places]
        changed = False
        for place, text in texts:
            entry = _tried(place, place.read)
            if entry is None or entry.disabled or entry.text != text:
                _tried(place, partial(place.write, text))
                changed = True
        return changed

    def switch_off(self) -> bool:
        """Let nothing start at log-in; return whether anything had to be removed.

        Raises:
            AutostartError: it cannot be.
        """
        changed = False
        for place in self._places:
            if _tried(place, place.read) is not None:
                _tried(place, place.remove)
                changed = True
        return changed

    def repair(self) -> bool:
        """Put the entry right if it is ours and does not work any more; return whether it had to be.

        Raises:
            AutostartError: it cannot be.
        """
        for place, entry in self._found():
            if entry.disabled:
                return self._switch_off_beside(place)
        now = self.status()
        if not (now.on and now.stale and now.state_dir == self._launch.state_dir and now.program is not None):
            return False
        # A program that is there, and not this one, was put there on purpose: by another installation.
        return (now.program == self._launch.command[0] or not _exists(now.program)) and self.switch_on()

    def _switch_off_beside(self, disabled: Place) -> bool:
        """Follow the operator, who switched it off in one place, in the others."""
        others = [place for place, _ in self._found() if place is not disabled]
        for place in others:
            _tried(place, place.remove)
        return bool(others)

    def _found(self) -> list[tuple[Place, Entry]]:
        return [(place, entry) for place in self._places if (entry := _tried(place, place.read)) is not None]


class LoginSwitch:
    """The switch on the page, for the application with this state dir and configuration."""

    def __init__(self, state_dir: StateDir, config: Path) -> None:
        """Look at nothing yet."""
        self._state_dir = state_dir
        self._config = config

    def standing(self) -> LoginStart:
        """Return how it stands.

        Raises:
            ExlabError: it cannot be told.
        """
        now = autostart_of(self._state_dir, self._config).status()
        other = now.state_dir if now.state_dir != str(self._state_dir.root) else None
        return LoginStart(now.on, other)

    def switch(self, *, on: bool) -> None:
        """Let this application start at log-in, or nothing.

        Raises:
            ExlabError: it cannot be changed.
        """
        autostart = autostart_of(self._state_dir, self._config)
        log.info("autostart: switched %s on the page", "on" if on else "off")
        _ = autostart.switch_on() if on else autostart.switch_off()


class Repair:
    """A service of the desk: looks once, at the start, whether the entry still works."""

    def __init__(self, state_dir: StateDir, config: Path) -> None:
        """Repair the entry of this state dir, in a thread of its own."""
        self._state_dir = state_dir
        self._config = config
        self._thread = threading.Thread(target=self._look, name="autostart", daemon=True)

    def start(self) -> None:
        """Look, without keeping anybody waiting."""
        self._thread.start()

    def stop(self) -> None:
        """Return when it has looked."""
        if self._thread.ident is not None:
            self._thread.join()

    def _look(self) -> None:
        try:
            if autostart_of(self._state_dir, self._config).repair():
                log.info("autostart: what stood there was out of date, and is right again")
        except ExlabError as error:
            log.warning("autostart: %s", error)


def places() -> list[Place]:
    """Return where this system looks at log-in, the first being what counts."""
    if sys.platform == "win32":
        from exlab_wizard.desktop.autostart.windows import RunKey, WindowsRegistry  # noqa: PLC0415 - of this system only

        return [RunKey(WindowsRegistry())]
    if sys.platform == "darwin":
        from exlab_wizard.desktop.autostart.macos import LaunchAgent  # noqa: PLC0415 - of this system only

        return [LaunchAgent(Path.home() / "Library" / "LaunchAgents")]
    from exlab_wizard.desktop.autostart.linux import linux_places  # noqa: PLC0415 - of this system only

    return linux_places(os.environ)


def autostart_of(state_dir: StateDir, config: Path) -> Autostart:
    """Return the entries of this account, for an application with this state dir and configuration.

    Raises:
        SettingsError: the configuration cannot be used.
    """
    window_s = SettingsFile(config).read().quit.session_end_window_s
    line = command(state_dir, config, "run", "--no-window")
    return Autostart(places(), Launch(line, str(state_dir.root), math.ceil(window_s) + STOP_RESERVE_SECONDS))


def _exists(program: str) -> bool:
    return os.access(program, os.X_OK)


def _tried(place: Place, act: Callable[[], _T]) -> _T:
    try:
        return act()
    except OSError as error:
        msg = f"{place.where}: {error.strerror or error}. Make it writable for your account."
        raise AutostartError(msg) from error

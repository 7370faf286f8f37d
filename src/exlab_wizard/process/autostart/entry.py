"""Starts the application at login, in the way of each system; one entry for each account.

An entry names program, state dir and configuration in full, so that it means the same whatever the environment says at
login. If its program is gone, because it was moved or reinstalled, the next launch for the same state dir repairs it;
the entry of another state dir changes only on request. An operator who disables it with a tool of the desktop has
switched it off.
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

from exlab_wizard.errors import ExlabError
from exlab_wizard.paths import StateDir
from exlab_wizard.process.autostart.port import AutostartError, AutostartPlace, Entry, LoginCommand
from exlab_wizard.process.autostart.relaunch import command
from exlab_wizard.settings import SettingsFile

_T = TypeVar("_T")
log = logging.getLogger(__name__)

STOP_RESERVE_SECONDS: Final = 10
"""How long the system waits beyond our own window at session end before it kills."""


@dataclass(frozen=True, slots=True)
class AutostartStatus:
    """Whether something starts at login, and what."""

    on: bool
    places: dict[str, str]
    """By kind, where the entries are."""
    program: str | None = None
    state_dir: str | None = None
    stale: bool = False
    """The program no longer exists, or the entry is not as it should be."""


class Autostart:
    """The entries of this account."""

    def __init__(self, places: Sequence[AutostartPlace], launch: LoginCommand) -> None:
        self._places = places
        self._launch = launch

    def status(self) -> AutostartStatus:
        """Return what starts at login now.

        Raises:
            AutostartError: an entry cannot be read.
        """
        found = self._found()
        if not found or any(entry.disabled for _, entry in found):
            return AutostartStatus(on=False, places={})
        program, state_dir = found[0][1].program, found[0][1].state_dir
        ours = state_dir == self._launch.state_dir
        stale = len(found) < len(self._places) or any(
            not _exists(entry.program) or (ours and entry.text != place.text(self._launch)) for place, entry in found
        )
        where = {place.kind: place.where for place, _ in found}
        return AutostartStatus(on=True, places=where, program=program, state_dir=state_dir, stale=stale)

    def switch(self, *, on: bool) -> bool:
        """Let this application start at login, or nothing; return whether anything had to change.

        Raises:
            AutostartError: an entry cannot be written or removed.
        """
        texts = [place.text(self._launch) if on else "" for place in self._places]
        changed = False
        for place, text in zip(self._places, texts, strict=True):
            entry = _tried(place, place.read)
            if on and (entry is None or entry.disabled or entry.text != text):
                _tried(place, partial(place.write, text))
            elif not on and entry is not None:
                _tried(place, place.remove)
            else:
                continue
            changed = True
        return changed

    def repair(self) -> bool:
        """Rewrite our own entry if it no longer works; return whether that was necessary.

        Raises:
            AutostartError: an entry cannot be written or removed.
        """
        found = self._found()
        off = next((place for place, entry in found if entry.disabled), None)
        if off is not None:
            # The operator switched it off in one place, and means all of them.
            for place in (others := [place for place, _ in found if place is not off]):
                _tried(place, place.remove)
            return bool(others)
        now = self.status()
        if not (now.on and now.stale and now.state_dir == self._launch.state_dir and now.program is not None):
            return False
        # Another program that exists is another installation, which was chosen on purpose.
        return (now.program == self._launch.command[0] or not _exists(now.program)) and self.switch(on=True)

    def _found(self) -> list[tuple[AutostartPlace, Entry]]:
        return [(place, entry) for place in self._places if (entry := _tried(place, place.read)) is not None]


class AutostartRepair(threading.Thread):
    """A service of the desktop: checks once, at launch, whether the entry of this state dir still works."""

    def __init__(self, state_dir: StateDir, config: Path) -> None:
        super().__init__(name="autostart", daemon=True)
        self._state_dir, self._config = state_dir, config

    def stop(self) -> None:
        """Return when the check is done."""
        if self.ident is not None:
            self.join()

    def run(self) -> None:
        """Repair the entry if it is out of date."""
        try:
            if autostart_of(self._state_dir, self._config).repair():
                log.info("autostart: the entry was out of date and has been repaired")
        except ExlabError as error:
            log.warning("autostart: %s", error)


def places() -> list[AutostartPlace]:
    """Return where this system looks at login, the most important place first."""
    if sys.platform == "win32":
        from exlab_wizard.process.autostart.windows import RunKey, WindowsRegistry  # noqa: PLC0415 - of this system only

        return [RunKey(WindowsRegistry())]
    if sys.platform == "darwin":
        from exlab_wizard.process.autostart.macos import LaunchAgent  # noqa: PLC0415 - of this system only

        return [LaunchAgent(Path.home() / "Library" / "LaunchAgents")]
    from exlab_wizard.process.autostart.linux import linux_places  # noqa: PLC0415 - of this system only

    return linux_places(os.environ)


def autostart_of(state_dir: StateDir, config: Path) -> Autostart:
    """Return the entries of this account, for an application with this state dir and configuration.

    Raises:
        SettingsError: the configuration is invalid.
    """
    window_s = SettingsFile(config).read().quit.session_end_window_s
    line = command(state_dir, config, "run", "--no-window")
    return Autostart(places(), LoginCommand(line, str(state_dir.root), math.ceil(window_s) + STOP_RESERVE_SECONDS))


def _exists(program: str) -> bool:
    return os.access(program, os.X_OK)


def _tried(place: AutostartPlace, act: Callable[[], _T]) -> _T:
    try:
        return act()
    except OSError as error:
        msg = f"{place.where}: {error.strerror or error}. Make it writable for your account."
        raise AutostartError(msg) from error

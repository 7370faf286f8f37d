"""Autostart on Windows: a value of the Run key of the account, which Explorer starts at login."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import PureWindowsPath
from typing import Final

from exlab_wizard.process.autostart.port import TITLE, AutostartError, Entry, LoginCommand

if sys.platform == "win32":
    import winreg

_RUN: Final = r"Software\Microsoft\Windows\CurrentVersion\Run"
_APPROVED: Final = r"Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run"
_LONGEST: Final = 260
"""Explorer ignores longer command lines there."""
_STATE_DIR: Final = " --state-dir "


class RunKey:
    """The value `ExLab-Wizard` of the Run key."""

    kind = "run key"
    where = rf"HKCU\{_RUN}\{TITLE}"

    def __init__(self, registry: WindowsRegistry) -> None:
        self._registry = registry

    def text(self, launch: LoginCommand) -> str:
        """Return the command line, by the Python that opens no console."""
        program = PureWindowsPath(launch.command[0])
        if program.name.lower() == "python.exe":
            program = program.with_name("pythonw.exe")
        line = subprocess.list2cmdline([str(program), *launch.command[1:]])
        if len(line) > _LONGEST:
            msg = f"{self.where} accepts {_LONGEST} characters, and the command is longer: {line}. Shorten its paths."
            raise AutostartError(msg)
        return line

    def read(self) -> Entry | None:
        """Return the value; the Task Manager disables it in a key of its own."""
        line = self._registry.get(_RUN, TITLE)
        if not isinstance(line, str):
            return None
        approved = self._registry.get(_APPROVED, TITLE)
        off = isinstance(approved, bytes) and len(approved) > 0 and approved[0] % 2 == 1
        return Entry(line, _first(line), _first(line.partition(_STATE_DIR)[2]), disabled=off)

    def write(self, text: str) -> None:
        """Write it, and enable it if it was disabled."""
        self._registry.set(_RUN, TITLE, text)
        self._registry.delete(_APPROVED, TITLE)

    def remove(self) -> None:
        """Remove it."""
        self._registry.delete(_RUN, TITLE)
        self._registry.delete(_APPROVED, TITLE)


class WindowsRegistry:
    """Values below the account's own root of the registry; there are none on other systems."""

    def get(self, key: str, name: str) -> str | bytes | None:
        """Return a value; None if it does not exist."""
        if sys.platform == "win32":
            with contextlib.suppress(FileNotFoundError), winreg.OpenKey(winreg.HKEY_CURRENT_USER, key) as opened:
                value: object = winreg.QueryValueEx(opened, name)[0]
                return value if isinstance(value, str | bytes) else None
        return None

    def set(self, key: str, name: str, value: str) -> None:
        """Write a text."""
        if sys.platform == "win32":
            with winreg.CreateKey(winreg.HKEY_CURRENT_USER, key) as opened:
                winreg.SetValueEx(opened, name, 0, winreg.REG_SZ, value)

    def delete(self, key: str, name: str) -> None:
        """Remove a value, if it exists."""
        if sys.platform == "win32":
            user, access = winreg.HKEY_CURRENT_USER, winreg.KEY_SET_VALUE
            with contextlib.suppress(FileNotFoundError), winreg.OpenKey(user, key, 0, access) as opened:
                winreg.DeleteValue(opened, name)


def _first(line: str) -> str:
    """Return the first word of a command line; paths on Windows hold no quotes."""
    return line[1:].partition('"')[0] if line.startswith('"') else line.partition(" ")[0]

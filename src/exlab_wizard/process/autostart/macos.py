"""Autostart on macOS: a launch agent, which launchd reads at the next login."""

from __future__ import annotations

import contextlib
import plistlib
from pathlib import Path
from typing import Final

from exlab_wizard.process.autostart.port import NAME, Entry, EntryFile, LoginCommand

_STATE_DIR: Final = "--state-dir"


class LaunchAgent(EntryFile):
    """`exlab-wizard.plist` in the user's folder of launch agents."""

    kind = "launchd"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / f"{NAME}.plist", 0o644)

    def text(self, launch: LoginCommand) -> str:
        """Return the agent: it restarts after a crash, not after a quit."""
        agent = {
            "Label": NAME,
            "ProgramArguments": list(launch.command),
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": 10,
            "ExitTimeOut": launch.stop_s,
            "ProcessType": "Interactive",
            "LimitLoadToSessionType": "Aqua",
        }
        return plistlib.dumps(agent).decode("utf-8")

    def read(self) -> Entry | None:
        """Return the agent, if it exists."""
        try:
            text = self._file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        with contextlib.suppress(plistlib.InvalidFileException, ValueError):
            match plistlib.loads(text.encode()):
                case {"ProgramArguments": [str(program), *words]} if _STATE_DIR in words[:-1]:
                    return Entry(text, program, str(words[words.index(_STATE_DIR) + 1]))
        return Entry(text, "", "")

"""The child process of `doctor`: runs every check, writes each result as a line of JSON, then that it is done.

`python -m exlab_wizard.diagnosis.doctor.process STATE_DIR CONFIG`. A check that hangs inside the kernel would keep a
process from ending; so this one may be left behind, and the command only reads its pipe.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Final

from exlab_wizard.diagnosis.doctor import desktop, machine, records, running, share
from exlab_wizard.diagnosis.doctor.checkup import DONE, Check, CheckResult, check_up
from exlab_wizard.errors import DamagedError, SettingsError, StoreError
from exlab_wizard.paths import StateDir
from exlab_wizard.settings import DestinationSettings, SettingsFile
from exlab_wizard.store.upkeep.damaged import open_raw

_STATE_DISK: Final = "Check the disk of the state dir."


def checks(state_dir: StateDir, config: Path) -> list[Check]:
    """Return all checks, in the order of the report."""
    return [
        Check("settings", lambda: machine.settings(config)),
        Check("state dir", lambda: machine.state_dir(state_dir), _STATE_DISK),
        Check("sqlite", records.library),
        Check("database", lambda: records.database(state_dir), _STATE_DISK),
        Check("history", lambda: records.history(state_dir), _STATE_DISK),
        Check("backups", lambda: records.backups(state_dir), _STATE_DISK),
        Check("log", lambda: machine.logs(state_dir), _STATE_DISK),
        Check("clock", lambda: machine.clock(state_dir), _STATE_DISK),
        Check("application", lambda: running.application(state_dir), "Quit it, and start it again."),
        *_destinations(state_dir, config),
        Check("desktop", desktop.desktop),
        Check("window", desktop.window),
        Check("autostart", lambda: desktop.autostart(state_dir, config), "exlab-wizard autostart on"),
        Check("programs", machine.programs),
    ]


def _destinations(state_dir: StateDir, config: Path) -> list[Check]:
    try:
        destinations = SettingsFile(config).read().destinations
    except SettingsError:
        return []  # reported by the check of the settings
    return [
        Check(name, partial(_destination, state_dir, name, found), share.REMEDY, share.TIMEOUT_SECONDS)
        for name, found in destinations.items()
    ]


def _destination(state_dir: StateDir, name: str, found: DestinationSettings) -> Iterator[CheckResult]:
    for finding in share.examine(found.folder, found.marker, _runs(state_dir, name)):
        yield replace(finding, name=f"{name}: {finding.name}")


def _runs(state_dir: StateDir, destination: str) -> list[str]:
    if not state_dir.database.exists():
        return []
    try:
        with open_raw(state_dir.database) as file:
            return file.run_paths(destination)
    except (DamagedError, StoreError):
        return []


def main(arguments: list[str]) -> None:
    """Run the checks and write their results."""
    state_dir, config = StateDir(Path(arguments[0])), Path(arguments[1])
    for finding in check_up(checks(state_dir, config)):
        print(json.dumps(asdict(finding)), flush=True)  # noqa: T201 - stdout is the pipe to the parent process
    print(json.dumps(DONE), flush=True)  # noqa: T201 - likewise
    # Never waits for a check that was left behind.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])

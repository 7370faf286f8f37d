"""The child of `doctor`: looks at everything and writes each finding as a line of JSON, then that it is done.

`python -m exlab_wizard.cli.examination STATE_DIR CONFIG`. A look that hangs inside the kernel would keep a process from
ending; so this one may be left behind, and the person's command only reads its pipe.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from exlab_wizard.desktop.autostart.entry import autostart_of
from exlab_wizard.desktop.window.surfaces import find_chromium
from exlab_wizard.diagnosis.doctor import configured, desktop, machine, records, running, share
from exlab_wizard.diagnosis.doctor.checkup import Check, Finding, check_up, doubtful, good
from exlab_wizard.errors import DamagedError, StoreError
from exlab_wizard.paths import StateDir
from exlab_wizard.settings import DestinationSettings
from exlab_wizard.store.upkeep.damaged import diagnosed

DONE: Final = "done"
_STATE_DISK: Final = "Look after the disk of the state dir."


def checks(state_dir: StateDir, config: Path) -> list[Check]:
    """Return everything that is looked at, in the order in which it is told."""
    return [
        Check("settings", lambda: configured.settings(config)),
        Check("state dir", lambda: machine.state_dir(state_dir), _STATE_DISK),
        Check("sqlite", records.library),
        Check("database", lambda: records.database(state_dir), _STATE_DISK),
        Check("history", lambda: records.history(state_dir), _STATE_DISK),
        Check("backups", lambda: records.backups(state_dir), _STATE_DISK),
        Check("log", lambda: machine.logs(state_dir), _STATE_DISK),
        Check("clock", lambda: machine.clock(state_dir), _STATE_DISK),
        Check("application", lambda: running.application(state_dir), "Quit it, and start it again."),
        *(
            Check(name, partial(_destination, state_dir, name, found), share.REMEDY, share.TIMEOUT_SECONDS)
            for name, found in configured.destinations(config).items()
        ),
        Check("desktop", desktop.desktop),
        Check("window", _window),
        Check("autostart", lambda: _autostart(state_dir, config), "exlab-wizard autostart on"),
        Check("programs", machine.programs),
    ]


def _destination(state_dir: StateDir, name: str, found: DestinationSettings) -> Iterator[Finding]:
    for finding in share.examine(found.folder, found.marker, _runs(state_dir, name)):
        yield replace(finding, name=f"{name}: {finding.name}")


def _runs(state_dir: StateDir, destination: str) -> list[str]:
    if not state_dir.database.exists():
        return []
    try:
        with diagnosed(state_dir.database) as file:
            return file.run_paths(destination)
    except (DamagedError, StoreError):
        return []


def _window() -> Iterator[Finding]:
    found = find_chromium(os.environ)
    if found is not None:
        yield good("window", found)
    elif find_spec("webview") is not None:
        yield good("window", "a web view (the extra `window`)")
    else:
        yield good("window", "no Chromium, Edge or Chrome: the page opens in the default browser")


def _autostart(state_dir: StateDir, config: Path) -> Iterator[Finding]:
    standing = autostart_of(state_dir, config).status()
    if not standing.on:
        yield good("autostart", "off; for a workstation: exlab-wizard autostart on")
    elif standing.stale:
        yield doubtful("autostart", "it starts what is not there any more", "exlab-wizard autostart on")
    elif standing.state_dir != str(state_dir.root):
        remedy = "exlab-wizard autostart on, with the --state-dir that is meant"
        yield doubtful("autostart", f"it starts for another state dir: {standing.state_dir}", remedy)
    else:
        yield good("autostart", "on")


def main(arguments: list[str]) -> None:
    """Look, and tell."""
    state_dir, config = StateDir.at(Path(arguments[0])), Path(arguments[1])
    for finding in check_up(checks(state_dir, config)):
        print(json.dumps(asdict(finding)), flush=True)  # noqa: T201 - this process speaks to its parent
    print(json.dumps(DONE), flush=True)  # noqa: T201 - likewise
    # What was left behind is never waited for.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])

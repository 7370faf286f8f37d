"""`autostart`: whether the application starts at login."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final, Literal

import click

from exlab_wizard.cli.options import Locations
from exlab_wizard.cli.terminal.output import emit, example, json_option, say
from exlab_wizard.process.autostart.entry import AutostartStatus, autostart_of

_DONE: Final = {"on": "the application now starts at login", "off": "the application no longer starts at login"}
_SAME: Final = {"on": "the application already starts at login", "off": "the application does not start at login"}


@click.command("autostart", epilog=example("exlab-wizard autostart on", "exlab-wizard autostart status --json"))
@click.argument("what", type=click.Choice(["on", "off", "status"]))
@json_option
@click.pass_obj
def command(locations: Locations, what: Literal["on", "off", "status"], *, as_json: bool) -> None:
    """Turn start at login on or off, or show whether it is on.

    The entry uses the state dir and configuration of this command and takes effect at the next login; a
    running application is not affected. `on` also repairs an outdated entry, and so does each launch.
    """
    entries = autostart_of(locations.state_dir, locations.config)
    changed = what != "status" and entries.switch(on=what == "on")
    status = entries.status()
    if as_json:
        emit({"changed": changed, **asdict(status)})
        return
    if what == "status":
        say(_describe(status, str(locations.state_dir.root)))
    else:
        say((_DONE if changed else _SAME)[what])
    for kind, where in status.places.items():
        say(f"  {kind}: {where}")


def _describe(status: AutostartStatus, state_dir: str) -> str:
    if not status.on:
        return "off: the application does not start at login"
    text = "on" if status.state_dir == state_dir else f"on, for the state dir {status.state_dir}"
    return f"{text}; out of date: `exlab-wizard autostart on` repairs it" if status.stale else text

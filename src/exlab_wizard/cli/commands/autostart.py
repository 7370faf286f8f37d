"""`autostart`: whether the application starts at log-in."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final, Literal

import click

from exlab_wizard.cli.locations import Locations
from exlab_wizard.cli.terminal.output import emit, example, json_option, say
from exlab_wizard.desktop.autostart.entry import Standing, autostart_of

_DONE: Final = {
    "on": "the application starts at log-in from now on",
    "off": "the application starts at log-in no more",
}
_SAME: Final = {"on": "the application starts at log-in already", "off": "the application does not start at log-in"}


@click.command("autostart", epilog=example("exlab-wizard autostart on", "exlab-wizard autostart status --json"))
@click.argument("what", type=click.Choice(["on", "off", "status"]))
@json_option
@click.pass_obj
def command(locations: Locations, what: Literal["on", "off", "status"], *, as_json: bool) -> None:
    """Let the application start at log-in, or not, or say how that stands.

    It is written for the state dir and the configuration of this call, and counts from the next log-in on; what runs
    now is left alone. `on` again puts right what is out of date; so does the application itself when it starts.
    """
    entries = autostart_of(locations.state_dir, locations.config)
    changed = entries.switch_on() if what == "on" else entries.switch_off() if what == "off" else False
    standing = entries.status()
    if as_json:
        emit({"changed": changed, **asdict(standing)})
        return
    if what == "status":
        say(_told(standing, str(locations.state_dir.root)))
    else:
        say((_DONE if changed else _SAME)[what])
    for kind, where in standing.places.items():
        say(f"  {kind}: {where}")


def _told(standing: Standing, state_dir: str) -> str:
    if not standing.on:
        return "off: the application does not start at log-in"
    told = "on" if standing.state_dir == state_dir else f"on, for the state dir {standing.state_dir}"
    return f"{told}; out of date: `exlab-wizard autostart on` puts it right" if standing.stale else told

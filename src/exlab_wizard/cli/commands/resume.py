"""`resume`: a pause ends."""

from __future__ import annotations

import click

from exlab_wizard.cli.commands.pause import set_paused
from exlab_wizard.cli.locations import Locations
from exlab_wizard.cli.terminal.output import example, json_option


@click.command("resume", epilog=example("exlab-wizard resume"))
@json_option
@click.pass_obj
def command(locations: Locations, *, as_json: bool) -> None:
    """End a pause; interrupted copies continue at the byte where they stopped. Harmless if nothing is paused."""
    set_paused(locations, paused=False, as_json=as_json)

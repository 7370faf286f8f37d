"""`pause` and `resume`: a row says that nothing is to be claimed; the application notices it within half a second."""

from __future__ import annotations

import click

from exlab_wizard.cli.options import Locations, not_running
from exlab_wizard.cli.terminal.output import emit, example, json_option, say
from exlab_wizard.process.identity import SystemClock
from exlab_wizard.process.instance_lock import is_running
from exlab_wizard.process.open_store import opened


@click.command("pause", epilog=example("exlab-wizard pause", "exlab-wizard resume"))
@json_option
@click.pass_obj
def command(locations: Locations, *, as_json: bool) -> None:
    """Pause syncing, so that an instrument has the disk and the network to itself.

    Running copies stop within a second and keep what they have sent; runs can still be queued. The pause lasts until
    `exlab-wizard resume` or the next launch of the application, so a forgotten pause does not last.
    """
    _set_paused(locations, paused=True, as_json=as_json)


@click.command("resume", epilog=example("exlab-wizard resume"))
@json_option
@click.pass_obj
def resume(locations: Locations, *, as_json: bool) -> None:
    """End a pause; interrupted copies resume where they stopped. Harmless if nothing is paused."""
    _set_paused(locations, paused=False, as_json=as_json)


def _set_paused(locations: Locations, *, paused: bool, as_json: bool) -> None:
    if not is_running(locations.state_dir):
        raise not_running(locations)
    with opened(locations.state_dir) as store:
        launch = store.launches.open_launch()
        if launch is None:
            raise not_running(locations)
        if paused:
            store.launches.pause(launch.id, SystemClock().now())
        else:
            store.launches.resume(launch.id)
        launch = store.launches.open_launch()
    if as_json:
        emit({"paused_since": None if launch is None else launch.paused_since})
    else:
        say("paused; resume with: exlab-wizard resume" if paused else "syncing resumed")

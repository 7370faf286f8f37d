"""`pause` and `resume`: a row says that nothing is to be claimed; the application notices it within half a second."""

from __future__ import annotations

import click

from exlab_wizard.cli.context import Place
from exlab_wizard.cli.terminal.output import emit, example, json_option, say
from exlab_wizard.errors import NotRunningError
from exlab_wizard.process.identity import SystemClock
from exlab_wizard.process.instance_lock import is_running
from exlab_wizard.process.open_store import opened


@click.command("pause", epilog=example("exlab-wizard pause", "exlab-wizard resume"))
@json_option
@click.pass_obj
def pause(place: Place, *, as_json: bool) -> None:
    """Pause syncing, so that an instrument has disk and network to itself.

    Running copies stop within a second and keep what they sent; runs can be queued all the while. The pause lasts until
    `exlab-wizard resume`, or until the application is started again: a forgotten pause ends with the next start.
    """
    _set(place, paused=True, as_json=as_json)


@click.command("resume", epilog=example("exlab-wizard resume"))
@json_option
@click.pass_obj
def resume(place: Place, *, as_json: bool) -> None:
    """End a pause; what it stopped goes on at the byte. Harmless when nothing is paused."""
    _set(place, paused=False, as_json=as_json)


def _set(place: Place, *, paused: bool, as_json: bool) -> None:
    nothing_to_pause = f"not running for the state dir {str(place.state_dir.root)!r}; `exlab-wizard run` starts it"
    if not is_running(place.state_dir):
        raise NotRunningError(nothing_to_pause)
    with opened(place.state_dir) as store:
        launch = store.launches.open_launch()
        if launch is None:
            raise NotRunningError(nothing_to_pause)
        if paused:
            store.launches.pause(launch.id, SystemClock().now())
        else:
            store.launches.go_on(launch.id)
        launch = store.launches.open_launch()
    since = None if launch is None else launch.paused_since
    if as_json:
        emit({"paused_since": since})
    else:
        say("paused; go on with: exlab-wizard resume" if paused else "syncing goes on")

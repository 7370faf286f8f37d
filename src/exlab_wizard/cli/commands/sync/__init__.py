"""`sync`: queues runs through the running application if it answers, else in the database.

The application queues one run; several at once go to the database, which takes all of them or none.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from exlab_wizard.cli.options import Locations
from exlab_wizard.cli.remote import from_application
from exlab_wizard.cli.terminal.output import emit, example, json_option, note, say

if TYPE_CHECKING:
    from exlab_wizard.client import Client

HIGHEST_PRIORITY: Final = 1_000


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """A run that is queued for a destination: its job, and whether that is new or was already pending."""

    id: int
    run_path: str
    destination: str
    created: bool


@click.command(
    "sync",
    epilog=example(
        "exlab-wizard sync /data/run-17", "exlab-wizard sync /data/run-18 /data/run-19 --to nas --priority 5 --wait"
    ),
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--to", "name", metavar="NAME", help="Destination; may be omitted if there is only one.")
@click.option("--equipment", metavar="ID", help="Instrument that wrote the runs; becomes a folder on the destination.")
@click.option(
    "--priority",
    type=click.IntRange(-HIGHEST_PRIORITY, HIGHEST_PRIORITY),
    default=0,
    help="Higher values go first; the default is 0.",
)
@click.option("--wait", is_flag=True, help="Show progress until all runs are verified; exit status 1 if one is not.")
@json_option
@click.pass_obj
def command(  # noqa: PLR0913 - one parameter for each option
    locations: Locations,
    *,
    paths: tuple[str, ...],
    name: str | None,
    equipment: str | None,
    priority: int,
    wait: bool,
    as_json: bool,
) -> int:
    """Queue runs (folders) for a destination; a run that is already pending there is not queued twice.

    This works whether or not the application is running; if it is not, the sync starts with the next `exlab-wizard
    run`. With --wait and no running application, this command acts as the application until the sync is finished.
    """
    queued = _by_the_application(locations, paths, name, equipment, priority)
    running = queued is not None
    if queued is None:
        from exlab_wizard.cli.commands.sync.queueing import queue_runs  # noqa: PLC0415 - the application answers most calls
        from exlab_wizard.process.instance_lock import is_running  # noqa: PLC0415 - likewise

        queued = queue_runs(locations, paths, name, equipment, priority)
        running = is_running(locations.state_dir)
    if not as_json:
        _print(queued, running=running, wait=wait)
    elif not wait:
        emit({"running": running, "jobs": [asdict(run) for run in queued]})
    if not wait:
        return 0
    from exlab_wizard.cli.commands.sync.watch import watch  # noqa: PLC0415 - only --wait loads it

    return watch(locations, [run.id for run in queued], as_json=as_json, running=running)


def _by_the_application(
    locations: Locations, paths: Sequence[str], name: str | None, equipment: str | None, priority: int
) -> list[QueuedRun] | None:
    def enqueue(client: Client) -> list[QueuedRun] | None:
        from exlab_wizard.client.queue_runs import is_utf8  # noqa: PLC0415 - loaded by now, since there is a client

        destination = name or _only_destination(locations.config)
        if destination is None or len(paths) != 1 or not paths[0] or not is_utf8(paths[0]):
            return None
        run = os.path.abspath(paths[0])  # noqa: PTH100 - resolves "..", and keeps links
        queued = client.enqueue(run, destination, priority=priority, equipment_id=equipment)
        return [QueuedRun(queued.job_id, run, destination, created=queued.created)]

    return from_application(locations, enqueue)


def _only_destination(config: Path) -> str | None:
    """Return the name of the only destination; the settings are checked where the run is queued."""
    try:
        known: object = tomllib.loads(config.read_text("utf-8")).get("destinations")
    except (OSError, ValueError):
        return None
    return str(next(iter(known))) if isinstance(known, dict) and len(known) == 1 else None


def _print(queued: Sequence[QueuedRun], *, running: bool, wait: bool) -> None:
    for run in queued:
        done = "queued" if run.created else "already pending"
        say(f"job {run.id}: {run.run_path} → {run.destination} ({done})")
    if not running and not wait:
        note("exlab-wizard is not running; the sync starts with the next `exlab-wizard run`")

"""`sync`: queue runs. All paths are checked before the first is queued, and all are queued in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import click

from exlab_wizard.cli.context import Place
from exlab_wizard.cli.output import emit, example, json_option, note, say
from exlab_wizard.cli.watch import Watched, become_application, follow_application
from exlab_wizard.errors import TransferError, UsageError
from exlab_wizard.runtime.access import opened
from exlab_wizard.runtime.host import SystemClock
from exlab_wizard.runtime.instance import InstanceHeldError, is_running
from exlab_wizard.settings import SettingsFile
from exlab_wizard.store.jobs import Enqueued, NewJob
from exlab_wizard.transfer.runpath import checked_run, equipment_fault

HIGHEST_PRIORITY: Final = 1_000


@click.command(
    "sync",
    epilog=example(
        "exlab-wizard sync /data/run-17", "exlab-wizard sync /data/run-18 /data/run-19 --to nas --priority 5 --wait"
    ),
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--to", "name", metavar="NAME", help="The destination; not needed if there is exactly one.")
@click.option(
    "--equipment", metavar="ID", help="The instrument that wrote the runs; becomes a folder on the destination."
)
@click.option(
    "--priority",
    type=click.IntRange(-HIGHEST_PRIORITY, HIGHEST_PRIORITY),
    default=0,
    help="Higher goes first; 0 is ordinary.",
)
@click.option("--wait", is_flag=True, help="Show progress until all are verified; status 1 if one is not.")
@json_option
@click.pass_obj
def sync(  # noqa: PLR0913 - one parameter for each option
    place: Place,
    *,
    paths: tuple[str, ...],
    name: str | None,
    equipment: str | None,
    priority: int,
    wait: bool,
    as_json: bool,
) -> int:
    """Queue runs (folders) for a destination; a run that is pending there already is not queued twice.

    This works whether the application runs or not; without it the sync starts with the next `exlab-wizard run`. With
    --wait and no application, this command is the application until the sync is done.
    """
    destinations = {key: value.folder for key, value in SettingsFile(place.config).read().destinations.items()}
    destination = _choose(destinations, name)
    fault = None if equipment is None else equipment_fault(equipment)
    if fault:
        raise UsageError(fault)
    runs = _checked(paths, destinations, place.state_dir.root)
    new = [NewJob(run, destination, equipment_id=equipment, priority=priority) for run in runs]
    with opened(place.state_dir, create=True) as store:
        queued = store.jobs.enqueue_all(new, SystemClock().now())
    running = is_running(place.state_dir)
    if not as_json:
        _tell(new, queued, running=running, wait=wait)
    elif not wait:
        emit({"running": running, "jobs": _receipts(new, queued)})
    if not wait:
        return 0
    return _wait(place, Watched([job.job_id for job in queued], as_json=as_json), running=running)


def _choose(destinations: Mapping[str, Path], name: str | None) -> str:
    known = ", ".join(destinations)
    if not destinations:
        msg = "no destination is configured. Add one with: exlab-wizard destination add NAME FOLDER"
        raise UsageError(msg)
    if name is None:
        if len(destinations) > 1:
            msg = f"there are several destinations; name one with --to: {known}"
            raise UsageError(msg)
        return next(iter(destinations))
    if name not in destinations:
        msg = f"there is no destination {name!r}; known: {known}"
        raise UsageError(msg)
    return name


def _checked(paths: Sequence[str], destinations: Mapping[str, Path], state_dir: Path) -> list[str]:
    """Return the runs as absolute paths, links in them kept as they are, each once."""
    runs: list[str] = []
    for path in paths:
        if not path:
            msg = "an empty path names no run"
            raise UsageError(msg)
        try:
            run = checked_run(path, destinations, state_dir)
        except TransferError as error:
            raise UsageError(str(error)) from error
        runs.append(run)
    return list(dict.fromkeys(runs))


def _receipts(new: Sequence[NewJob], queued: Sequence[Enqueued]) -> list[dict[str, str | int | bool]]:
    return [
        {"id": receipt.job_id, "run_path": job.run_path, "destination": job.destination, "created": receipt.created}
        for job, receipt in zip(new, queued, strict=True)
    ]


def _tell(new: Sequence[NewJob], queued: Sequence[Enqueued], *, running: bool, wait: bool) -> None:
    for job, receipt in zip(new, queued, strict=True):
        done = "queued" if receipt.created else "already pending"
        say(f"job {receipt.job_id}: {job.run_path} → {job.destination} ({done})")
    if not running and not wait:
        note("exlab-wizard is not running: the sync starts with the next `exlab-wizard run`")


def _wait(place: Place, watched: Watched, *, running: bool) -> int:
    """Follow the jobs, as the application where there is none."""
    while not running:
        try:
            return become_application(place, watched)
        except InstanceHeldError:
            # Somebody else starts it in this moment, or only looked whether it runs.
            running = is_running(place.state_dir)
    return follow_application(place, watched)

"""Queues runs in the database: all paths are checked before the first is queued, and all in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from exlab_wizard.cli.commands.sync import QueuedRun
from exlab_wizard.cli.options import Locations
from exlab_wizard.errors import TransferError, UsageError
from exlab_wizard.process.identity import SystemClock
from exlab_wizard.process.open_store import opened
from exlab_wizard.settings import SettingsFile
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.transfer.source.run_path import checked_run, equipment_fault


def queue_runs(
    locations: Locations, paths: Sequence[str], name: str | None, equipment: str | None, priority: int
) -> list[QueuedRun]:
    """Return the job of each run, once all are durable.

    Raises:
        UsageError: a run, the destination or the equipment is invalid; nothing was queued.
    """
    destinations = {key: value.folder for key, value in SettingsFile(locations.config).read().destinations.items()}
    destination = _choose(destinations, name)
    if equipment is not None and (fault := equipment_fault(equipment)):
        raise UsageError(fault)
    runs = _checked(paths, destinations, locations.state_dir.root)
    new = [NewJob(run, destination, equipment_id=equipment, priority=priority) for run in runs]
    with opened(locations.state_dir, create=True) as store:
        queued = store.jobs.enqueue_all(new, SystemClock().now())
    return [QueuedRun(it.job_id, run, destination, created=it.created) for run, it in zip(runs, queued, strict=True)]


def _choose(destinations: Mapping[str, Path], name: str | None) -> str:
    known = ", ".join(destinations)
    if not destinations:
        raise UsageError("no destination is configured. Add one with: exlab-wizard destination add NAME FOLDER")
    if name is None:
        if len(destinations) > 1:
            msg = f"there are several destinations; choose one with --to: {known}"
            raise UsageError(msg)
        return next(iter(destinations))
    if name not in destinations:
        msg = f"there is no destination {name!r}; configured: {known}"
        raise UsageError(msg)
    return name


def _checked(paths: Sequence[str], destinations: Mapping[str, Path], state_dir: Path) -> list[str]:
    """Return the runs as absolute paths with their links kept, each once."""
    if not all(paths):
        raise UsageError("the path of a run is empty; give the folder of the run")
    try:
        return list(dict.fromkeys(checked_run(path, destinations, state_dir) for path in paths))
    except TransferError as error:
        raise UsageError(str(error)) from error

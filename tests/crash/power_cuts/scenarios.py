"""The scenarios that are recorded: what happens on a machine before, and what is recorded of it.

Each is a function on a machine: it prepares, calls `record` and acts. Whatever it leaves to do, a launch must finish.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.crash.power_cuts.machine import Machine
from tests.support.nursery import Child
from tests.support.program import PATIENCE_SECONDS, until

from exlab_wizard.crash_points import Point

KEPT_BACKUPS: Final = 5


def _with_destination(machine: Machine) -> None:
    machine.command("destination", "add", "nas", str(machine.lab), "--create")


def _ended(machine: Machine, child: Child, status: int = 0) -> None:
    assert child.wait(PATIENCE_SECONDS) == status, machine.log_once()


def first_launch(machine: Machine) -> None:
    """Nothing is there; the program makes its own first destination, inside the state dir."""
    machine.lab = machine.state / "nas"
    machine.record()
    machine.application("finish")
    machine.command("sync", machine.run("run-a"))
    machine.application("finish")


def first_commands(machine: Machine) -> None:
    """Nothing is there; an operator adds a destination and queues a run before the application ever ran."""
    machine.record()
    _with_destination(machine)
    machine.command("sync", machine.run("run-a", big=True), "--equipment", "scope-1")
    machine.application("finish")


def copy(machine: Machine) -> None:
    """Two runs of one new instrument, at the same time."""
    _with_destination(machine)
    machine.record()
    machine.command("sync", machine.run("run-a", big=True), machine.run("run-b"), "--equipment", "scope-1")
    machine.application("finish")


def merge(machine: Machine) -> None:
    """More files, one of them large, for a run that is published already."""
    _with_destination(machine)
    machine.command("sync", machine.run("run-a"))
    machine.application("finish")
    machine.run("run-a", big=True, more=3)
    machine.record()
    machine.command("sync", str(machine.runs / "run-a"))
    machine.application("finish")


def lease(machine: Machine) -> None:
    """A session ends, and with it its runs are queued; heartbeats fill the WAL several times over."""
    _with_destination(machine)
    machine.record()
    machine.application("lease", machine.run("run-a"), machine.run("run-b"))


def force_quit(machine: Machine) -> None:
    """A quit is forced in the middle of a copy; the next launch goes on."""
    _with_destination(machine)
    settings = machine.config.read_text("utf-8")
    machine.config.write_text(f"{settings}bandwidth_mib_s = 6.0\n", encoding="utf-8")
    machine.command("sync", machine.run("run-a", big=True))
    machine.record()
    machine.application("force")
    machine.application("finish")


def killed_while_copying(machine: Machine) -> None:
    """Killed between two checkpoints, recovered, and finished."""
    _with_destination(machine)
    machine.command("sync", machine.run("run-a", big=True))
    machine.record()
    machine.application("die", Point.COPY_WRITTEN, "4", status=-9)
    machine.application("finish")


def killed_after_the_rename(machine: Machine) -> None:
    """Killed when the run is visible and its new name is not durable; the next launch finds it published."""
    _with_destination(machine)
    machine.command("sync", machine.run("run-a", big=True), "--equipment", "scope-1")
    machine.record()
    machine.application("die", Point.PUBLISH_AFTER_RENAME, "1", status=-9)
    machine.application("finish")


def killed_with_a_new_folder(machine: Machine) -> None:
    """Killed when the instrument's folder is made and its name is not durable; the next launch finds it there."""
    _with_destination(machine)
    machine.command("sync", machine.run("run-a"), "--equipment", "scope-1")
    machine.application("die", Point.PUBLISH_BEFORE_RENAME, "1", status=-9)
    machine.record()
    machine.application("die in", "transfer.destination.publish", "sync_folder", status=-9)
    machine.application("finish")


def killed_while_merging(machine: Machine) -> None:
    """Killed when one of several files is added; the next launch adds the others."""
    _with_destination(machine)
    machine.command("sync", machine.run("run-a"))
    machine.application("finish")
    machine.command("sync", machine.run("run-a", more=3))
    machine.record()
    machine.application("die", Point.MERGE_FILE_PUBLISHED, "2", status=-9)
    machine.application("finish")


def beside_the_application(machine: Machine) -> None:
    """The application runs; other processes queue, follow and quit."""
    _with_destination(machine)
    run = machine.run("run-a", big=True)
    machine.record()
    application, _ = machine.start("stay")
    until((machine.state / "exlab-wizard.db").exists, what="the application to make its database")
    machine.command("sync", run, "--wait")
    machine.command("quit")
    _ended(machine, application)


def upkeep(machine: Machine) -> None:
    """The daily backup, and the oldest of those that were there goes; then two by hand."""
    _with_destination(machine)
    machine.command("sync", machine.run("run-a"))
    machine.application("finish")
    for day in range(KEPT_BACKUPS):
        made = Path(str(machine.command("db", "backup")["file"]))
        made.rename(made.with_name(re.sub(r"\d{8}T", f"2025010{day + 1}T", made.name)))
    machine.backups = KEPT_BACKUPS
    machine.record()
    machine.application("upkeep")
    machine.command("db", "backup")
    machine.command("db", "backup", str(machine.state.parent / "elsewhere" / "copy.db"))


def restore(machine: Machine) -> None:
    """A backup takes the place of a database that was cut off with work in its WAL."""
    _with_destination(machine)
    machine.command("sync", machine.run("run-a"))
    machine.application("finish")
    backup = str(machine.command("db", "backup")["file"])
    later = machine.run("run-b")
    machine.command("sync", later)
    machine.application("die", Point.COPY_CHECKPOINTED, "1", status=-9)
    machine.promised.remove(later)
    machine.kept.add(later)
    machine.record()
    machine.command("db", "restore", backup)


SCENARIOS: Final[dict[str, Callable[[Machine], None]]] = {
    scenario.__name__: scenario
    for scenario in (
        first_launch,
        first_commands,
        copy,
        merge,
        lease,
        force_quit,
        killed_while_copying,
        killed_after_the_rename,
        killed_with_a_new_folder,
        killed_while_merging,
        beside_the_application,
        upkeep,
        restore,
    )
}

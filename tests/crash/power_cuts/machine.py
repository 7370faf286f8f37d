"""A workstation and its NAS in a folder of their own, on which the real program acts while it is recorded.

Each of `machine`, `nas` and `told` is a file system of its own; the runs lie elsewhere and are only read. `told` holds
what the program has said to the world: it is looked at as of each instant, and never lost.
"""

from __future__ import annotations

import copy
import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tests.crash.power_cuts.acts import ENTRY, Order
from tests.crash.power_cuts.disk import Disk
from tests.crash.power_cuts.image import Image, image_of
from tests.crash.power_cuts.record import Record, read_log
from tests.support.nursery import Child, Nursery
from tests.support.program import PATIENCE_SECONDS, write_run

KIB: Final = 1 << 10


@dataclass(slots=True)
class Told:
    """What the world had been told at some instant."""

    runs: set[str] = field(default_factory=set)
    destinations: dict[str, str] = field(default_factory=dict)
    backups: set[str] = field(default_factory=set)
    restored: bool = False

    @classmethod
    def at(cls, disk: Disk, folder: Path) -> Told:
        """Read what stands in the recorded files now."""
        told = cls()
        for content in disk.read_folder(str(folder)):
            for line in content.decode().splitlines(keepends=True):
                if line.endswith("\n"):
                    told.take(json.loads(line))
        return told

    def take(self, document: dict[str, object]) -> None:
        """Add what one answer of the program says."""
        jobs = document.get("jobs", ())
        assert isinstance(jobs, list | tuple)
        self.runs |= {job["run_path"] for job in jobs}
        if "target" in document:
            self.destinations[str(document["name"])] = str(document["target"])
        if "restored_from" in document:
            self.restored = True
        elif "file" in document:
            self.backups.add(str(document["file"]))


@dataclass(frozen=True, slots=True)
class Recording:
    """What was done, and the disk before it was done."""

    before: Disk
    records: list[Record]
    told: Path

    def begin(self) -> Disk:
        """Return the disk as it was before the first record."""
        return copy.deepcopy(self.before)

    def told_at(self, disk: Disk) -> Told:
        """Return what the world knows when `disk` is as it is."""
        return Told.at(disk, self.told)


class Machine:
    """The place of one scenario."""

    def __init__(self, home: Path, nursery: Nursery, *, journal_mode: str = "wal", syncfs: bool = True) -> None:
        self.home = home
        self.state = home / "machine" / "state"
        self.lab = home / "nas" / "lab"
        self.database = self.state / "exlab-wizard.db"
        self.config = self.state / "config.toml"
        self.disks = (home / "machine", home / "nas")
        self._told = home / "told"
        self._nursery = nursery
        self.journal_mode, self._syncfs = journal_mode, syncfs
        self._recorded: Disk | None = None
        self._acts = 0
        self.runs = home / "runs"
        self.promised: set[str] = set()
        """Runs that were acknowledged before the recording began."""
        self.kept: set[str] = set()
        """Runs that must be found in the database, or in the copy of it that a restore keeps."""
        self.backups = 0
        """So many backups are there at every instant."""
        for folder in (*self.disks, self._told, self.runs):
            folder.mkdir()

    def run(self, name: str, *, big: bool = False, more: int = 0) -> str:
        """Write a run (or more files into one) and return its path."""
        files = {f"frames/{n:02}.tif": 700 + 3_333 * n for n in range(6 + more)}
        if big:
            files["raw/deep/big.raw"] = 1_100 * KIB + 77
        return str(write_run(self.runs / name, files, seed=len(name)))

    def command(self, *arguments: str) -> dict[str, object]:
        """Carry out a command of the program to its end, and return what it says as JSON."""
        child, told = self.start("command", *arguments, "--json")
        assert child.wait(PATIENCE_SECONDS) == 0, self.log_once()
        answer: dict[str, object] = json.loads(told.read_text("utf-8"))
        if self._recorded is None:
            known = Told()
            known.take(answer)
            self.promised |= known.runs
        return answer

    def application(self, verb: str, *arguments: str, status: int = 0) -> None:
        """Be the application until it ends."""
        child, _ = self.start(verb, *arguments)
        assert child.wait(PATIENCE_SECONDS) == status, self.log_once()

    def start(self, verb: str, *arguments: str, boot: str = "before the power cut") -> tuple[Child, Path]:
        """Start an act and return it with the file of what it says."""
        self._acts += 1
        told = self._told / f"{self._acts}.json" if self._recorded else self.home / f"{self._acts}.json"
        order = Order(str(self.state), verb, arguments, boot, self.journal_mode, syncfs=self._syncfs)
        if self._recorded:
            roots = (*map(str, self.disks), str(self._told))
            order = replace(order, record=str(self.home / "record"), roots=roots, told=str(told))
        child = self._nursery.start(
            order.encoded(),
            entry=ENTRY,
            environment={"HOME": str(self.home), "PATH": os.defpath},
            folder=self.home,
            stdout=self.home / "stdout" if self._recorded else told,
            stderr=self.home / "stderr",
        )
        return child, told

    def log_once(self) -> str:
        """Return what the last act wrote to its standard error."""
        return (self.home / "stderr").read_text("utf-8", errors="replace")

    def record(self) -> None:
        """Record from now on."""
        self._recorded = Disk((*self.disks, self._told))

    def recording(self) -> Recording:
        """Stop recording, and prove that the record is all that happened: played, it ends in what really lies there."""
        assert self._recorded is not None
        recording = Recording(self._recorded, read_log(self.home / "record"), self._told)
        self._recorded = None
        disk = recording.begin()
        for record in recording.records:
            disk.play(record)
        assert _bare(disk.seen()) == _bare(image_of((*self.disks, self._told)))
        return recording


def _bare(image: Image) -> list[tuple[str, int, str, str]]:
    """Return what there is, without times and permissions."""
    return [
        (path, node.kind, node.content.sha256 if node.content else "", node.target)
        for path, node in sorted(image.items())
    ]

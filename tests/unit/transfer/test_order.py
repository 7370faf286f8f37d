"""Bytes first, then the row; everything below first, then the name: watched at the system calls themselves."""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.unit.transfer.world import World

from exlab_wizard.domain.files import FileRecord
from exlab_wizard.transfer.files import durability

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the calls are those of Linux")

MIB = 1 << 20


Seen = int | frozenset[str]
"""The size of a file, or the names in a folder."""


def look(path: Path | int) -> tuple[int, Seen]:
    """Return the inode behind a path or descriptor, and its size or names."""
    status = os.stat(path)  # noqa: PTH116 - or a descriptor
    names = stat.S_ISDIR(status.st_mode)
    return status.st_ino, frozenset(os.listdir(path)) if names else status.st_size  # noqa: PTH208 - or a descriptor


class Libc:
    """The C library, with one call watched."""

    def __init__(self, disk: Disk) -> None:
        self._real, self._disk = ctypes.CDLL(None, use_errno=True), disk

    def syncfs(self, fd: ctypes.c_int) -> int:
        seen = [look(path) for path in self._disk.standing(self._disk.world.nas)]
        status = int(self._real.syncfs(fd))
        self._disk.kept.update(seen)
        return status

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)


class Disk:
    """What of the destination a power cut would leave: for each inode what stood there when its last flush began."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch, *, at_once: bool) -> None:
        self.world, self._patch = world, monkeypatch
        self.kept: dict[int, Seen] = {}
        self.renamed: list[Path] = []
        self.lost_by_a_rename: list[Path] = []
        monkeypatch.setattr(durability, "syncs_at_once", lambda _fd: at_once)
        monkeypatch.setattr(durability, "_LIBC", Libc(self))
        self._watch_flush("fsync")
        self._watch_flush("fdatasync")
        self._watch_rename()

    def _watch_flush(self, name: str) -> None:
        flush = getattr(os, name)

        def watched(fd: int) -> None:
            seen = look(fd)
            flush(fd)
            self.kept.update([seen])

        self._patch.setattr(os, name, watched)

    def _watch_rename(self) -> None:
        rename = os.rename

        def watched(source: Path, target: Path) -> None:
            self.lost_by_a_rename += self.lost(source)
            rename(source, target)
            self.renamed.append(target)

        self._patch.setattr(os, "rename", watched)

    @staticmethod
    def standing(folder: Path) -> list[Path]:
        """Return the folder and everything below it."""
        return [folder, *folder.rglob("*")]

    def lost(self, folder: Path) -> list[Path]:
        """Return what stands at or below `folder` and would not be so after a power cut."""
        return [path for path in self.standing(folder) if self.kept.get(look(path)[0]) != look(path)[1]]


@pytest.mark.parametrize("at_once", [True, False], ids=["all flushed at once", "files flushed one by one"])
def test_no_row_is_written_before_the_bytes_that_it_counts_are_durable(
    world: World, monkeypatch: pytest.MonkeyPatch, *, at_once: bool
) -> None:
    world.big("big.dat", 40)
    for number in range(20):
        world.write(f"small-{number}.dat", bytes(1000 + number))
    disk = Disk(world, monkeypatch, at_once=at_once)
    early: list[FileRecord] = []
    rows: list[str] = []

    def compare(files: Sequence[FileRecord]) -> None:
        for row in files:
            durable = disk.kept.get((world.incoming / row.path).stat().st_ino, 0)
            assert isinstance(durable, int)
            rows.append(row.path)
            if durable < row.bytes_done:
                early.append(row)

    world.checkpoints.on_checkpoint = compare
    world.sync()
    assert early == []
    assert rows.count("big.dat") > 2, "there were no checkpoints inside the big file"
    assert len(set(rows)) == 21


@pytest.mark.parametrize("at_once", [True, False], ids=["all flushed at once", "files flushed one by one"])
def test_the_final_name_appears_when_everything_below_it_is_durable_and_is_then_made_durable(
    world: World, monkeypatch: pytest.MonkeyPatch, *, at_once: bool
) -> None:
    world.write("folder/below/small.dat")
    world.big("folder/big.dat", 9)
    (world.run / "hollow").mkdir()
    disk = Disk(world, monkeypatch, at_once=at_once)
    world.sync()
    assert disk.renamed == [world.final]
    assert disk.lost_by_a_rename == []
    assert disk.lost(world.final) == []
    for folder in (world.final.parent, world.nas):
        kept = disk.kept.get(folder.stat().st_ino, frozenset())
        assert isinstance(kept, frozenset)
        assert {entry.name for entry in folder.iterdir()} <= kept

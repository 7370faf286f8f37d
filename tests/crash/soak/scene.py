"""Where the soak happens: one state dir, a destination that can be taken away, one that can be full, and the program.

The small destination is a file system of its own; where that may not be mounted, nothing is ever full.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support.program import MIB, Program

from exlab_wizard.transfer.destination.marker import create_marker
from exlab_wizard.transfer.destination.publish import INCOMING

WORKERS: Final = 2
WINDOW_SECONDS: Final = 1.0
SESSION_END_SECONDS: Final = 5.0
SMALL_BYTES: Final = 96 * MIB
EQUIPMENT: Final = ("sem", "xrd")
ORDINARY_LIMIT_MIB_S: Final = 12.0
"""Slow enough that most kills cut something off, fast enough that the queue does not only grow."""


class Scene(Program):
    """The program with two destinations; leaving kills it and unmounts what was mounted."""

    def __init__(self, home: Path) -> None:
        self.small = home / "small"
        self.place_of_nas = threading.Lock()
        """Held by whoever moves the destination, and by whoever looks into it."""
        super().__init__(home)
        self.instrument = home / "instrument"
        self.instrument.mkdir()
        self.has_small = self._mount()
        self.set_limit(ORDINARY_LIMIT_MIB_S)

    def _mount(self) -> bool:
        self.small.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_BYTES}", "exlab-soak", str(self.small)]
        if shutil.which("mount") is None or subprocess.run(command, check=False, capture_output=True).returncode:
            return False
        create_marker(self.small, "small")
        return True

    def set_limit(self, mib_s: float | None) -> None:
        """Change the bandwidth limit; the file is replaced in one step, as editors do."""
        limit = "" if mib_s is None else f"bandwidth_mib_s = {mib_s}\n"
        small = f"[destinations.small]\ntarget = {json.dumps(str(self.small))}\n" if self.has_small else ""
        fresh = self.config.with_suffix(".new")
        fresh.write_text(
            f"[quit]\nwindow_s = {WINDOW_SECONDS}\nsession_end_window_s = {SESSION_END_SECONDS}\n"
            f"[sync]\nworkers = {WORKERS}\nsettle_s = 0\n"
            f"[destinations.nas]\ntarget = {json.dumps(str(self.nas))}\n{limit}{small}",
            encoding="utf-8",
        )
        fresh.replace(self.config)

    def folder_of(self, destination: str) -> Path:
        """Return the folder of a destination; `nas` may be away."""
        return self.small if destination == "small" else self.nas

    @contextmanager
    def nas_folders(self) -> Iterator[list[Path]]:
        """Lend the folders of both destinations where they are now, and keep them there meanwhile."""
        with self.place_of_nas:
            away = self.home / "away"
            yield [away if away.exists() else self.nas, *([self.small] if self.has_small else [])]

    def bytes_in_incoming(self) -> dict[int, int]:
        """Return job to bytes that lie in its incoming folder."""
        found: dict[int, int] = {}
        with self.nas_folders() as folders:
            for folder in (entry for nas in folders for entry in (nas / INCOMING).glob("*")):
                sizes = (path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
                found[int(folder.name.rpartition("-")[2])] = sum(sizes)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, value, trace)
        if self.has_small:
            subprocess.run(["umount", "--lazy", str(self.small)], check=True)

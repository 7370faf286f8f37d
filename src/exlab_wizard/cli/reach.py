"""Tries a destination out, step by step, as a sync would use it. A share that hangs is given up, not waited for."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exlab_wizard.cli.words import size
from exlab_wizard.errors import TransferWaitError
from exlab_wizard.transfer.marker import probe

PATIENCE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried, whether it worked, and what was seen."""

    name: str
    ok: bool
    detail: str


def examine(folder: Path, marker_id: str = "", patience_s: float = PATIENCE_SECONDS) -> list[Finding]:
    """Return what was found about the folder; the list ends at the first thing that does not work."""
    found: list[Finding] = []
    # A dead network share blocks its caller inside the kernel: only another thread can be left behind.
    worker = threading.Thread(target=_try_all, args=(folder, marker_id, found), daemon=True)
    worker.start()
    worker.join(patience_s)
    if worker.is_alive():
        return [*found, Finding("answers", ok=False, detail=f"no answer within {patience_s:g} s; look after the share")]
    return found


def _try_all(folder: Path, marker_id: str, found: list[Finding]) -> None:
    try:
        folder.stat()
        found.append(Finding("reachable", ok=True, detail=str(folder)))
        probe(folder, marker_id)
        found.append(Finding("marker", ok=True, detail="is there"))
        _write_and_rename(folder, found)
        free = shutil.disk_usage(folder).free
        found.append(Finding("room", ok=free > 0, detail=f"{size(free)} free"))
    except TransferWaitError as error:
        found.append(Finding("marker", ok=False, detail=str(error)))
    except OSError as error:
        found.append(Finding("reachable" if not found else "usable", ok=False, detail=str(error)))


def _write_and_rename(folder: Path, found: list[Finding]) -> None:
    with tempfile.TemporaryDirectory(dir=folder, prefix=".exlab-test-") as scratch:
        written = Path(scratch) / "written"
        with written.open("wb") as file:
            file.write(b"exlab-wizard")
            file.flush()
            os.fsync(file.fileno())
        found.append(Finding("writable", ok=True, detail="a file was written and synced"))
        written.rename(written.with_name("renamed"))
        found.append(Finding("rename", ok=True, detail="works"))

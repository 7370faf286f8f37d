"""Tests a destination step by step, as a sync would use it.

It creates its files in a folder of its own and removes them. The results are yielded one by one, so that those before
a hang are reported.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from exlab_wizard.diagnosis.doctor.checkup import CheckResult, bad, doubtful, good
from exlab_wizard.diagnosis.doctor.machine import MOST_SKEW_SECONDS, SCRATCH, against_ours, file_skew_s, room
from exlab_wizard.errors import TransferWaitError
from exlab_wizard.transfer.destination.marker import probe

TIMEOUT_SECONDS: Final = 20.0
REMEDY: Final = "Check the share: mount it again, or restart its server."
_LONGEST_NAME: Final = 255
_ORDINARY_NAME: Final = 143
"""The limit of encrypted folders on common NAS systems."""


def examine(folder: Path, marker_id: str = "", runs: Sequence[str] = ()) -> Iterator[CheckResult]:
    """Test the destination at `folder`; the first step that fails is the last.

    `runs` are some that are synced to it, to check whether they are on the same disk.
    """
    try:
        device = folder.stat().st_dev
        yield good("reachable", str(folder))
        probe(folder, marker_id)
        yield good("marker", "found")
        yield from _write(folder)
        yield room("free space", folder)
        yield _clock(folder)
        yield _disk(device, runs)
    except TransferWaitError as error:
        yield bad("marker", str(error), "Mount the share.")
    except OSError as error:
        yield bad("usable", str(error), "Make the folder writable for your account, and check the share.")


def _write(folder: Path) -> Iterator[CheckResult]:
    with tempfile.TemporaryDirectory(dir=folder, prefix=SCRATCH) as scratch:
        written = Path(scratch) / "written"
        with written.open("wb") as file:
            file.write(b"exlab-wizard")
            file.flush()
            os.fsync(file.fileno())
        yield good("writable", "a file was written and flushed")
        written.rename(written.with_name("renamed"))
        yield good("rename", "works")
        alike = written.with_name("RENAMED").exists()
        refused = "the share ignores case: runs with names that differ only in case are refused"
        yield good("case", refused if alike else "upper and lower case are distinguished")
        yield _names(Path(scratch))


def _names(scratch: Path) -> CheckResult:
    longest = next((length for length in (_LONGEST_NAME, _ORDINARY_NAME) if _takes(scratch / ("n" * length))), 0)
    if longest == _LONGEST_NAME:
        return good("longest name", f"{longest} bytes")
    detail = f"{longest or f'less than {_ORDINARY_NAME}'} bytes; longer names cannot be copied"
    return doubtful("longest name", detail, "Use shorter file names in runs, or an unencrypted share.")


def _takes(path: Path) -> bool:
    try:
        path.touch()
    except OSError:
        return False
    return True


def _clock(folder: Path) -> CheckResult:
    skew = file_skew_s(folder)
    if skew is None or abs(skew) <= MOST_SKEW_SECONDS:
        return good("clock", "same as this machine's")
    remedy = "Synchronise both clocks over the network (NTP)."
    return doubtful("clock", against_ours(skew), remedy)


def _disk(device: int, runs: Sequence[str]) -> CheckResult:
    for run in runs:
        try:
            same = Path(run).stat().st_dev == device
        except OSError:
            continue
        if same:
            detail = f"the run {run!r} is on the same disk as this destination: one failure destroys both"
            return doubtful("disk", detail, "Use a folder of a mounted share as the destination.")
    return good("disk", "a different disk from the runs" if runs else "no run has been queued for it yet")

"""Runs of every kind that instruments leave: many small files, some large ones, odd names, nothing at all.

An edit is one that the published run must show wholly or not at all; each version that stood is written down.
"""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path
from typing import Final

from tests.crash.soak.book import Run
from tests.support.program import MIB, picture, write_run

from exlab_wizard.testing import Picture

ODD_NAMES: Final = (
    b"with space",
    b"-rf",
    b"new\nline",
    b"back\\slash",
    b"not \xff\xfe unicode",
    b"x" * 255,
    "μ-scope 試料".encode(),
)
HOUR_AGO_NS: Final = 1_700_000_000 * 10**9
EDIT: Final = b"edited"


def many(chance: random.Random) -> dict[str, int]:
    """Return some hundred small files in folders."""
    return {f"frames/{n % 7}/{n:04}.tif": chance.randrange(20_000) for n in range(chance.randrange(20, 250))}


def large(chance: random.Random) -> dict[str, int]:
    """Return one large file with a small one beside it."""
    return {"detector.raw": chance.randrange(16 * MIB, 48 * MIB), "header.txt": 300}


def mixed(chance: random.Random) -> dict[str, int]:
    """Return a few files of all sizes."""
    return {f"scan-{n}.raw": chance.randrange(3 * MIB) for n in range(chance.randrange(1, 8))}


def make(folder: Path, kind: str, chance: random.Random) -> Path:
    """Write a run of the named kind."""
    folder.mkdir(parents=True)
    match kind:
        case "many":
            write_run(folder, many(chance), chance.randrange(1000))
        case "large":
            write_run(folder, large(chance), chance.randrange(1000))
        case "mixed":
            write_run(folder, mixed(chance), chance.randrange(1000))
        case "odd":
            _write_odd(folder)
        case _:
            (folder / "hollow").mkdir()
    return folder


KINDS: Final = {"many": 5, "large": 2, "mixed": 9, "odd": 2, "empty": 1}
"""Each kind and how often it comes."""


def _write_odd(folder: Path) -> None:
    for number, name in enumerate(ODD_NAMES):
        (folder / os.fsdecode(name)).write_bytes(name * number)
        below = folder / "below" / os.fsdecode(name)
        below.mkdir(parents=True)
        (below / "inside").write_bytes(name)
    (folder / "dangling").symlink_to("nowhere")
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, ns=(HOUR_AGO_NS, HOUR_AGO_NS), follow_symlinks=False)


def edit(run: Run, chance: random.Random, *, quietly: bool) -> None:
    """Change a few bytes in one place of one file, the size kept; quietly: its time too."""
    file = _file_of(run, chance)
    if file is None:
        return
    status = file.stat()
    at = chance.randrange(status.st_size - len(EDIT))
    with file.open("r+b", buffering=0) as opened:
        opened.seek(at)
        opened.write(EDIT)
    if quietly:
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    _take_down(run, file)


def grow(run: Run, chance: random.Random, stop: threading.Event) -> None:
    """Append to one file again and again, as an instrument that is still writing."""
    file = _file_of(run, chance)
    if file is None:
        return
    for _ in range(chance.randrange(2, 6)):
        with file.open("ab", buffering=0) as opened:
            opened.write(chance.randbytes(chance.randrange(1, 200_000)))
        _take_down(run, file)
        stop.wait(chance.uniform(0.05, 0.3))


def _file_of(run: Run, chance: random.Random) -> Path | None:
    files = [name for name, (_, _, size, _) in run.versions[0].items() if size > 100 and "/" not in name]
    return run.path / chance.choice(files) if files else None


def _take_down(run: Run, file: Path) -> None:
    seen: Picture = dict(run.versions[-1])
    seen[file.name] = picture(run.path)[file.name]
    run.versions.append(seen)

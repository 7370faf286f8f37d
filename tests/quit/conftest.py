from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from tests.program import Program
from tests.quit.lab import Lab

_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - only its speed is wanted, and the folder in it is our own
_ROOM_BYTES: Final = 2 << 30


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """The program on files in memory, if possible: a quit is timed here, not a disk that other tests keep busy."""
    fast = _IN_MEMORY.is_dir() and os.access(_IN_MEMORY, os.W_OK) and shutil.disk_usage(_IN_MEMORY).free > _ROOM_BYTES
    where = _IN_MEMORY if fast else tmp_path
    with tempfile.TemporaryDirectory(dir=where, prefix="exlab-") as home, Program(Path(home)) as program:
        yield program

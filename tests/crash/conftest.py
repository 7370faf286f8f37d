"""Crash tests play in memory: thousands of kills would wait for the disk, and no kill looks at what a disk has."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.crash.nursery import Nursery
from tests.crash.stage import Stage

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
ENOUGH = 2 << 30

# The kill shim is loaded by Linux's dynamic linker, and the fork server watches its children by Linux's descriptors.
collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]


@pytest.fixture(scope="session")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder in memory where there is room for it, else on the disk."""
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ENOUGH:
        yield tmp_path_factory.mktemp("crash")
        return
    folder = Path(tempfile.mkdtemp(prefix="exlab-crash-", dir=MEMORY))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def stage(theatre: Path, nursery: Nursery) -> Iterator[Stage]:
    """Return a fresh stage."""
    home = Path(tempfile.mkdtemp(dir=theatre))
    yield Stage(home, nursery)
    shutil.rmtree(home)

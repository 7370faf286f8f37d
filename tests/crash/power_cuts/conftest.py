"""The recorder, a nursery whose children can be recorded, and a place in memory for machines."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.nursery import Nursery
from tests.support.preload.build import build


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Return the fork server, with the recorder loaded and asleep."""
    home: Path = tmp_path_factory.mktemp("power")
    with Nursery(home / "nursery.log", preload=build("record", home)) as nursery:
        yield nursery


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Return a folder in memory where there is one: real flushes would only take time, the disk is a model here."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    with tempfile.TemporaryDirectory(prefix="exlab-power-", dir=memory if memory.is_dir() else tmp_path) as folder:
        yield Path(folder)

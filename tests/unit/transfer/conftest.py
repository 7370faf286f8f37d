from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.transfer.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Whatever a test does to a transfer, it leaves no thread behind."""
    before = set(threading.enumerate())
    yield World(tmp_path)
    assert not set(threading.enumerate()) - before

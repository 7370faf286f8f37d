from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.notices.daemon import FakeDaemon, PrivateBus


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateBus]:
    """A session bus of its own, for this process and those that it starts."""
    with PrivateBus(tmp_path) as bus:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.address)
        yield bus


@pytest.fixture
def bus(private: PrivateBus) -> str:
    return private.address


@pytest.fixture
def daemon(bus: str) -> Iterator[FakeDaemon]:
    with FakeDaemon(bus) as daemon:
        yield daemon

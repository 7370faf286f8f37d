from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.notifications.daemon import FakeDaemon
from tests.support.desktop import Bus, session_bus


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bus]:
    """A session bus of its own, for this process and those that it starts."""
    with session_bus(tmp_path) as bus:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.address)
        yield bus


@pytest.fixture
def bus(session: Bus) -> str:
    return session.address


@pytest.fixture
def daemon(bus: str) -> Iterator[FakeDaemon]:
    with FakeDaemon(bus) as daemon:
        yield daemon

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.tray.desk import Bus, OnDesktop, Panel, display, session_bus
from tests.support.program import folder_in_memory


@pytest.fixture(scope="session")
def screen() -> Iterator[str]:
    """One display for all tests of a worker: whoever uses it leaves nothing on it."""
    with display() as name:
        yield name


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    with session_bus(tmp_path) as bus:
        yield bus


@pytest.fixture
def panel(bus: Bus) -> Iterator[Panel]:
    with Panel(bus.address) as panel:
        yield panel


@pytest.fixture
def program(tmp_path: Path, screen: str, bus: Bus) -> Iterator[OnDesktop]:
    """The application on a desktop with a display and a session bus; files in memory, since quits are timed."""
    with folder_in_memory(tmp_path) as home, OnDesktop(home) as program:
        program.environment |= {"DISPLAY": screen, "DBUS_SESSION_BUS_ADDRESS": bus.address, "GDK_BACKEND": "x11"}
        yield program

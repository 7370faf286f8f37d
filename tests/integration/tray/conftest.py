from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.support.desktop import Bus, OnDesktop, Panel, display, session_bus
from tests.support.program import Program


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
def kind_of_program(screen: str, bus: Bus) -> Callable[[Path], Program]:
    """The application on a desktop with a display and a session bus."""
    return partial(OnDesktop, DISPLAY=screen, DBUS_SESSION_BUS_ADDRESS=bus.address, GDK_BACKEND="x11")

"""One display for all tests of a worker; applications that a command started detached are ended all the same."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.window.screen import Screen, screen
from tests.support.program import Program, until

from exlab_wizard.process.server_json import read_server_file


@pytest.fixture(scope="session")
def display(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    with screen(tmp_path_factory.mktemp("screen")) as shown:
        yield shown


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """A program without a display, that is not started yet."""
    with Program(tmp_path) as program:
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
            program.environment.pop(name, None)
        yield program
        end_what_was_detached(program)


@pytest.fixture
def desk(program: Program, display: Screen) -> Program:
    """A program on the display."""
    program.environment |= display.environ | {"PYTHONPATH": program.environment["PYTHONPATH"]}
    return program


def end_what_was_detached(program: Program) -> None:
    address = read_server_file(program.state / "server.json")
    if address is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(address.pid, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{address.pid}/fd/0").exists(), what="its end")

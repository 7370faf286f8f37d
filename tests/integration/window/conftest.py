"""One display for all tests of a worker; applications that a command started detached are ended all the same."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import pytest
from tests.support.program import Program, until
from tests.support.screen import Screen, screen

from exlab_wizard.process.server_json import read_server_file


@pytest.fixture(scope="session")
def display(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    with screen(tmp_path_factory.mktemp("screen")) as shown:
        yield shown


class WithoutDisplay(Program):
    """A program without a display; at the end, what a command started detached is killed, too."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
            self.environment.pop(name, None)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, value, trace)
        address = read_server_file(self.state / "server.json")
        if address is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(address.pid, signal.SIGKILL)
            until(lambda: not Path(f"/proc/{address.pid}/fd/0").exists(), what="its end")


@pytest.fixture
def kind_of_program() -> Callable[[Path], Program]:
    return WithoutDisplay


@pytest.fixture
def desk(program: Program, display: Screen) -> Program:
    """A program on the display."""
    program.environment |= display.environ | {"PYTHONPATH": program.environment["PYTHONPATH"]}
    return program

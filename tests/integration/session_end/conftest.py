from __future__ import annotations

import contextlib
import http.client
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.session_end.bus import SystemBus
from tests.integration.session_end.mortal import order
from tests.support.program import Program, folder_in_memory

from exlab_wizard.paths import StateDir
from exlab_wizard.process.server_json import read_server_file
from exlab_wizard.testing import Application, until


@contextlib.contextmanager
def listening(program: Application) -> Iterator[None]:
    """Follow the application's events: somebody who could answer a question."""
    address = until(lambda: read_server_file(StateDir.at(program.state).server), what="the server")
    stream = http.client.HTTPConnection("127.0.0.1", address.port, timeout=10)
    stream.request("GET", "/api/v1/events", headers={"Authorization": f"Bearer {address.token}"})
    with contextlib.closing(stream), contextlib.closing(stream.getresponse()) as answer:
        assert answer.status == 200
        yield


class Mortal(Program):
    """The real program, in which a thread dies when the test says so."""

    def command(self, *arguments: str) -> list[str]:
        module, *place = super().command(*arguments)[2:]
        return [sys.executable, "-m", "tests.integration.session_end.mortal", str(self.home), module, *place]

    def end_thread(self, name: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Return when the thread `name` has died; `meanwhile` is called when that was ordered, and may wake it."""
        ordered = order(self.home, name)
        ordered.touch()
        meanwhile()
        until(lambda: not ordered.exists(), what=f"the thread {name} to die")


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Mortal]:
    """A program with a thread to lose, on files in memory if possible."""
    with folder_in_memory(tmp_path) as home, Mortal(home) as program:
        yield program


@pytest.fixture
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemBus]:
    """A system bus with a logind."""
    with SystemBus(tmp_path_factory.mktemp("bus")) as bus:
        bus.start_logind()
        yield bus

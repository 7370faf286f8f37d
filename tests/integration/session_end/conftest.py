from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from tests.integration.session_end.bus import SystemBus
from tests.integration.session_end.mortal import order
from tests.support.program import PATIENCE_SECONDS, Program, folder_in_memory

from exlab_wizard.paths import StateDir
from exlab_wizard.process.server_json import read_server_file
from exlab_wizard.testing import Application, Process, until


@contextlib.contextmanager
def listening(program: Application) -> Iterator[None]:
    """Follow the application's events: somebody who could answer a question."""
    address = until(lambda: read_server_file(StateDir(program.state).server), what="the server")
    stream = http.client.HTTPConnection("127.0.0.1", address.port, timeout=PATIENCE_SECONDS)
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


class Frank(Program):
    """The real program, in a session of its own, which says what it leaves behind."""

    def command(self, *arguments: str) -> list[str]:
        module, *place = super().command(*arguments)[2:]
        return [
            sys.executable,
            "-m",
            "tests.integration.session_end.last_words",
            str(self.home / "last-words"),
            module,
            *place,
        ]

    def _started(self, command: Sequence[str], stdout: Path, stderr: Path) -> Process:
        with stdout.open("wb") as out, stderr.open("wb") as err:
            return subprocess.Popen(command, env=self.environment, stdout=out, stderr=err, start_new_session=True)

    def left(self) -> tuple[list[str], list[int]]:
        """Return the threads that lived at the end, and the processes that live still."""
        threads = (self.home / "last-words").read_text("utf-8").splitlines()
        return threads, [pid for pid in psutil.pids() if pid != self.process.pid and _session(pid) == self.process.pid]

    def loaded(self) -> list[str]:
        """Return the modules of ours that were loaded at the end."""
        modules = (self.home / "last-words.modules").read_text("utf-8").splitlines()
        return [name for name in modules if name.startswith("exlab_wizard.")]


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


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


@pytest.fixture
def frank(tmp_path: Path, bus: SystemBus) -> Iterator[Frank]:
    """The program beside a logind, on files in memory if possible."""
    with folder_in_memory(tmp_path) as home, Frank(home) as program:
        program.environment["DBUS_SYSTEM_BUS_ADDRESS"] = bus.address
        yield program

"""What every test stands on: no test reads or writes the state and settings of the person who runs it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tests.crash.system_calls import summary
from tests.crash.system_calls.nursery import Nursery, compile_shim

pytest_plugins = ["exlab_wizard.testing", "tests.support.fixtures"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a job in the background of a shell: every program that the tests start would inherit it, and hear no Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(autouse=True)
def own_user_dirs(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the user's directories, for this process and its children, into a fresh folder."""
    home = tmp_path_factory.mktemp("user")
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(home / name.lower()))
    for name in ("EXLAB_STATE_DIR", "EXLAB_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many crash points were killed at, if any."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    shares = summary.noted(report for report in reports if isinstance(report, pytest.TestReport))
    if shares:
        terminalreporter.write_line(summary.line_about(shares))


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """A state dir that does not exist yet, as at the first launch."""
    return tmp_path / "state"


@pytest.fixture(scope="session")
def kill_shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that kills a process at one of its system calls; asleep until its variables are set."""
    return compile_shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory, kill_shim: Path) -> Iterator[Nursery]:
    """A fork server for launches of the real program, with the kill shim loaded."""
    with Nursery(tmp_path_factory.mktemp("nursery") / "log", preload=kill_shim) as nursery:
        yield nursery

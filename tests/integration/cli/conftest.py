from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.cli.calls import Answer, Cli

from exlab_wizard.cli.main import main
from exlab_wizard.paths import StateDir
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.store import Store
from exlab_wizard.transfer.destination.marker import create_marker


@pytest.fixture
def cli(state_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line on the test's own state dir, in this process, which keeps its priority."""
    monkeypatch.setattr("exlab_wizard.process.identity.os.sched_setscheduler", lambda *_: None, raising=False)

    def call(*arguments: str) -> Answer:
        status = main(["--state-dir", str(state_dir), *arguments])
        captured = capsys.readouterr()
        return Answer(status, captured.out, captured.err)

    return call


@pytest.fixture
def nas(tmp_path: Path, state_dir: Path) -> Path:
    """A marked destination that is configured as `nas`."""
    folder = tmp_path / "nas"
    folder.mkdir()
    create_marker(folder, "nas")
    state_dir.mkdir()
    (state_dir / "config.toml").write_text(f'[destinations.nas]\ntarget = "{folder.as_posix()}"\n', "utf-8")
    return folder


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run of one old file."""
    folder = tmp_path / "run-17"
    folder.mkdir()
    (folder / "data.bin").write_bytes(b"data")
    os.utime(folder / "data.bin", (1, 1))
    return folder


@pytest.fixture
def store(state_dir: Path, cli: Cli, nas: Path, run_folder: Path) -> Iterator[Store]:
    """The database with one queued job, number 1."""
    assert nas.is_dir()
    assert cli("sync", str(run_folder)).status == 0
    opened = Store(Database(StateDir(state_dir).database))
    yield opened
    opened.close()


@pytest.fixture
def command(state_dir: Path) -> list[str]:
    """The command line as a process of its own."""
    return [sys.executable, "-m", "exlab_wizard", "--state-dir", str(state_dir)]

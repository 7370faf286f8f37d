from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.crash.faults.lab import FaultyProgram
from tests.crash.faults.shim import build
from tests.support.program import folder_in_memory


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the compiled shim."""
    return build(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def program(shim: Path, tmp_path: Path) -> Iterator[FaultyProgram]:
    """Return the program on files in memory, not started yet; no fault is armed, and no traceback may be left."""
    with folder_in_memory(tmp_path) as home, FaultyProgram(home, shim) as program:
        yield program
        if program.was_started:
            assert "Traceback" not in program.log()


@pytest.fixture(scope="module")
def shared(shim: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyProgram]:
    """Return one running program for all tests of a module."""
    with folder_in_memory(tmp_path_factory.mktemp("running")) as home, FaultyProgram(home, shim) as program:
        program.start()
        yield program
        assert "Traceback" not in program.log()


@pytest.fixture
def running(shared: FaultyProgram) -> Iterator[FaultyProgram]:
    """Return the running program; a test that failed leaves neither fault nor job to the next."""
    yield shared
    shared.faults.lift_all()
    shared.query("UPDATE sync_jobs SET state = 'cancelled' WHERE state IN ('queued', 'running', 'verifying', 'failed')")

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.crash.faults.faulty_program import FaultyProgram
from tests.support.preload.build import build
from tests.support.program import Program, folder_in_memory


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the compiled shim."""
    return build("faults", tmp_path_factory.mktemp("shim"))


@pytest.fixture
def kind_of_program(shim: Path) -> Callable[[Path], Program]:
    """Return the program under the shim; no fault is armed, and no traceback may be left."""
    return partial(FaultyProgram, library=shim)


@pytest.fixture(scope="module")
def shared(shim: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyProgram]:
    """Return one running program for all tests of a module."""
    with folder_in_memory(tmp_path_factory.mktemp("running")) as home, FaultyProgram(home, shim) as program:
        program.start()
        yield program


@pytest.fixture
def running(shared: FaultyProgram) -> Iterator[FaultyProgram]:
    """Return the running program; a test that failed leaves neither fault nor job to the next."""
    yield shared
    shared.faults.lift_all()
    shared.query("UPDATE sync_jobs SET state = 'cancelled' WHERE state IN ('queued', 'running', 'verifying', 'failed')")

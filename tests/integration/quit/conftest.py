from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.quit.lab import Lab
from tests.support.program import Program, folder_in_memory


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """The program on files in memory, if possible: a quit is timed here."""
    with folder_in_memory(tmp_path) as home, Program(home) as program:
        yield program

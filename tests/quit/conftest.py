from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.program import Program
from tests.quit.lab import Lab


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    with Program(tmp_path) as program:
        yield program

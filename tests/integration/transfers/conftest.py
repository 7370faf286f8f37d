"""The real program on a state dir of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.program import Program


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """Return a program that is not started yet; what of it still lives at the end is killed."""
    with Program(tmp_path) as program:
        yield program

"""The pytest side of the lab: one fixture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exlab_wizard.testing.lab import Lab


@pytest.fixture
def exlab(tmp_path: Path) -> Iterator[Lab]:
    """Lend a lab in which nothing was started; a process that still runs at the end is killed."""
    with Lab(tmp_path / "exlab") as lab:
        yield lab

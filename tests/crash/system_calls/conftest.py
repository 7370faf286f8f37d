"""Where crash tests play, and what each of them starts from."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.crash.system_calls import stage as stages
from tests.crash.system_calls.stage import Stage
from tests.support.nursery import Nursery

# The kill shim is loaded by Linux's dynamic linker, and the fork server watches its children by Linux's descriptors.
collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]


@pytest.fixture(scope="session")
def theatre() -> Iterator[Path]:
    """Return a folder for all that is played in this process."""
    with stages.theatre() as folder:
        yield folder


@pytest.fixture
def stage(theatre: Path, nursery: Nursery) -> Iterator[Stage]:
    """Return a fresh stage."""
    home = Path(tempfile.mkdtemp(dir=theatre))
    yield Stage(home, nursery)
    shutil.rmtree(home)

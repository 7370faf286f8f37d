"""A migrated database for each test: the file of one migration, copied."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import given

from exlab_wizard.paths import StateDir
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.store import Store


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file that nothing has open."""
    state_dir = StateDir(tmp_path_factory.mktemp("migrated"))
    given.migrate(state_dir)
    return state_dir.database


@pytest.fixture
def place(tmp_path: Path, migrated: Path) -> StateDir:
    """A state dir with a fresh database."""
    state_dir = StateDir(tmp_path / "state")
    state_dir.create()
    shutil.copy(migrated, state_dir.database)
    return state_dir


@pytest.fixture
def store(place: StateDir) -> Iterator[Store]:
    """The store over it."""
    opened = Store(Database(place.database))
    yield opened
    opened.close()


@pytest.fixture
def launch_id(store: Store) -> int:
    """The launch that runs now."""
    return given.launch(store).launch_id

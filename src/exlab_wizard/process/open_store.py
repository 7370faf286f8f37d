"""Opens the database for a process that is not the application, whether or not one runs.

Only the holder of the instance lock migrates an older database.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Final

from exlab_wizard.domain.views import OpenLaunch
from exlab_wizard.errors import RefusedError, StoreError
from exlab_wizard.paths import StateDir
from exlab_wizard.process.identity import SystemClock, is_network_path
from exlab_wizard.process.instance_lock import InstanceHeldError, instance_lock
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.store import Store
from exlab_wizard.store.upkeep import migration
from exlab_wizard.store.upkeep.backup import Backups

_TIMEOUT_SECONDS: Final = 15.0
_POLL_INTERVAL_SECONDS: Final = 0.05


def database_missing(state_dir: StateDir) -> StoreError:
    """Return the error for a command that needs a database if there is none."""
    where = str(state_dir.database)
    return StoreError(f"there is no database at {where!r} yet; `exlab-wizard run` or `exlab-wizard sync` creates one")


def database_of(state_dir: StateDir) -> Database:
    """Return the database, not yet touched, in the journal mode that its file system supports."""
    return Database(state_dir.database, journal_mode="delete" if is_network_path(state_dir.root) else None)


@contextlib.contextmanager
def opened(state_dir: StateDir, *, create: bool = False) -> Iterator[Store]:
    """Open the database with this program's schema; `create` makes state dir and database where there is none.

    Raises:
        StoreError: there is no database, or it cannot be read.
        RefusedError: it has another schema, and it cannot be migrated here.
    """
    if create:
        state_dir.create()
    elif not state_dir.database.exists():
        raise database_missing(state_dir)
    database = database_of(state_dir)
    store = Store(database)
    try:
        _bring_up_to_date(state_dir, database)
        yield store
    finally:
        store.close()


def _bring_up_to_date(state_dir: StateDir, database: Database) -> None:
    """Migrate under the instance lock; another holder is about to do the same, so wait for it."""
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while True:
        try:
            migration.require_current(database)
        except migration.NewerDatabaseError:
            raise
        except RefusedError:
            try:
                with instance_lock(state_dir):
                    migration.upgrade(database, Backups(state_dir), SystemClock().now())
            except InstanceHeldError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_INTERVAL_SECONDS)
        else:
            return


def last_open_launch(state_dir: StateDir) -> OpenLaunch | None:
    """Return the launch that has not ended, according to the database; None if it cannot be read."""
    try:
        with opened(state_dir) as store:
            return store.launches.open_launch()
    except StoreError:
        return None

"""Brings the database file to this program's schema, or refuses with what to do.

An up-to-date database costs one query: Alembic is imported only when a migration is due. Nothing is migrated without a
backup, and a database that is newer or damaged is left exactly as it is.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from exlab_wizard import __version__
from exlab_wizard.crash_points import Point, reached
from exlab_wizard.errors import DamagedError, RefusedError, StoreError
from exlab_wizard.paths import StateDir
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.sqlite.driver import OLDEST_VERSION, driver
from exlab_wizard.store.sqlite.values import Row
from exlab_wizard.store.upkeep.backup import Backups

KNOWN_REVISIONS: Final = ("0001", "0002")
HEAD_REVISION: Final = KNOWN_REVISIONS[-1]


class DamagedDatabaseError(DamagedError):
    """The file is not readable as a database; it was left as it is."""

    exit_status = 4


class NewerDatabaseError(RefusedError):
    """The database was written by a newer program; it was left as it is."""


def migrations_dir() -> Path:
    """Return the migrations that belong to this program: the packaged copy, else the checkout's top level."""
    package = Path(__file__).resolve().parents[2]
    packaged = package / "migrations"
    return packaged if packaged.is_dir() else package.parents[1] / "migrations"


def check_library() -> None:
    """Refuse a SQLite library that is too old for the schema.

    Raises:
        StoreError: it is; the message names both versions and the remedy.
    """
    if driver.sqlite_version_info < OLDEST_VERSION:
        wanted = ".".join(map(str, OLDEST_VERSION))
        msg = f"SQLite {driver.sqlite_version} is too old: {wanted} or later is required. Install pysqlite3."
        raise StoreError(msg)


def revision(database: Database) -> str | None:
    """Return the schema revision that the file holds; None for a file without one.

    Raises:
        DamagedDatabaseError: the file is not a database, or not one of this program.
        StoreError: it cannot be read now.
    """
    if not database.path.exists():
        return None
    names = {str(name) for (name,) in _read(database, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "alembic_version" in names:
        rows = _read(database, "SELECT version_num FROM alembic_version")
        if rows:
            return str(rows[0][0])
    if names - {"alembic_version"}:
        raise damaged(database.path, "it has tables but no schema version")
    return None


def damaged(path: Path, reason: str) -> DamagedDatabaseError:
    """Return the refusal for a damaged file, with the newest backup and how to restore it."""
    newest = Backups(StateDir(path.parent)).newest()
    remedy = (
        f"Restore the newest backup with: exlab-wizard db restore {str(newest)!r} (the damaged file is kept beside it)."
        if newest
        else "There is no backup: to start with an empty database, move the file away and keep it."
    )
    return DamagedDatabaseError(f"the database {str(path)!r} is damaged: {reason}. Nothing was changed. {remedy}")


def upgrade(database: Database, backups: Backups, now: datetime) -> bool:
    """Migrate the file to this program's schema; True when something was done. Call it under the instance lock.

    Raises:
        NewerDatabaseError: a newer program wrote it.
        DamagedDatabaseError: it cannot be read.
    """
    check_library()
    backups.clear_interrupted()
    held = revision(database)
    if held == HEAD_REVISION:
        return False
    if held is not None:
        if held not in KNOWN_REVISIONS:
            raise _newer(database, held)
        backups.create(database, now, label=f"before-{HEAD_REVISION}")
    _migrate(database)
    return True


def require_current(database: Database) -> None:
    """Raise unless the file has exactly this program's schema.

    Raises:
        NewerDatabaseError: a newer program wrote it.
        RefusedError: it is older, and only a launch may migrate it.
    """
    held = revision(database)
    if held == HEAD_REVISION:
        return
    if held is not None and held not in KNOWN_REVISIONS:
        raise _newer(database, held)
    msg = f"the database has schema {held}, but this program needs {HEAD_REVISION}. Run: exlab-wizard db upgrade"
    raise RefusedError(msg)


def _read(database: Database, sql: str) -> list[Row]:
    """Read, and distinguish damage, which calls for a backup, from a database that is locked or out of reach.

    Opening runs pragmas, and those are the first to meet a file that is not a database.
    """
    try:
        return database.connection().execute(sql).fetchall()
    except driver.OperationalError as error:
        remedy = "Close programs that lock it, and check that your account can read it."
        msg = f"the database {str(database.path)!r} cannot be read: {error}. {remedy}"
        raise StoreError(msg) from error
    except driver.DatabaseError as error:
        raise damaged(database.path, str(error)) from error
    except StoreError as error:
        cause = error.__cause__
        if isinstance(cause, driver.DatabaseError) and not isinstance(cause, driver.OperationalError):
            raise damaged(database.path, str(cause)) from error
        raise


def quick_check(database: Database) -> None:
    """Read through the file's structure.

    Raises:
        DamagedDatabaseError: it is damaged.
    """
    found = str(_read(database, "PRAGMA quick_check(1)")[0][0])
    if found != "ok":
        raise damaged(database.path, found)


def _newer(database: Database, held: str) -> NewerDatabaseError:
    try:
        row = database.connection().execute("SELECT version FROM launches ORDER BY id DESC LIMIT 1").fetchone()
    except driver.DatabaseError:
        row = None
    written_by = f" (last used by exlab-wizard {row[0]})" if row else ""
    return NewerDatabaseError(
        f"the database {str(database.path)!r} has schema {held}{written_by}, which is newer than this program, "
        f"exlab-wizard {__version__} with schema {HEAD_REVISION}. Install the newer version; nothing was changed."
    )


def _migrate(database: Database) -> None:
    from alembic import command  # noqa: PLC0415 - half a second that only a migration may cost
    from alembic.config import Config  # noqa: PLC0415 - likewise

    config = Config()
    config.set_main_option("script_location", str(migrations_dir()).replace("%", "%%"))
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        reached(Point.MIGRATION_BEFORE)
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            command.upgrade(config, "head")
            reached(Point.MIGRATION_BEFORE_COMMIT)
            connection.exec_driver_sql("COMMIT")
        except sa.exc.DBAPIError as error:
            remedy = "Free up space on the disk of the state dir if it is full, then run: exlab-wizard db upgrade"
            msg = f"the database {str(database.path)!r} cannot be migrated: {error.orig}. Nothing was changed. {remedy}"
            raise StoreError(msg) from error
    reached(Point.MIGRATION_AFTER)

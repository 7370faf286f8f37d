"""Runs migrations on the connection that the program passes, or on the database that `-x db=PATH` names.

The whole upgrade is one transaction: SQLite's DDL is transactional, so a crash in the middle leaves the old schema.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import context

from exlab_wizard.paths import StateDir, default_state_dir
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.tables import PathValue, metadata

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import Column, Connection
    from sqlalchemy.types import TypeEngine


def types_differ(
    _context: MigrationContext,
    _seen: Column[object],
    _declared: Column[object],
    _seen_type: TypeEngine[object],
    declared_type: TypeEngine[object],
) -> bool | None:
    """Let Alembic compare all types but those of paths: it takes the unknown `ANY` for a number."""
    return False if isinstance(declared_type, PathValue) else None


def run_on(connection: Connection) -> None:
    """Migrate over `connection`, in the transaction that its owner began, else in a new one."""
    context.configure(
        connection=connection, target_metadata=metadata, transactional_ddl=True, compare_type=types_differ
    )
    with context.begin_transaction():
        context.run_migrations()


def run_offline() -> None:
    """Print the SQL instead of running it (`alembic upgrade head --sql`)."""
    context.configure(dialect_name="sqlite", target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    """Use the connection of the calling program, or open the database of the command line."""
    passed: Connection | None = context.config.attributes.get("connection")
    if passed is not None:
        run_on(passed)
        return
    named = context.get_x_argument(as_dictionary=True).get("db")
    database = Database(StateDir(default_state_dir()).database if named is None else named)
    try:
        with database.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            run_on(connection)
            connection.exec_driver_sql("COMMIT")
    finally:
        database.close()


if context.is_offline_mode():
    run_offline()
else:
    run_online()

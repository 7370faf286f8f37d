"""`db`: the database file itself; `sql` is for its rows."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import click

from exlab_wizard.cli.lazy import LazyGroup
from exlab_wizard.cli.options import Locations
from exlab_wizard.cli.terminal.output import bar, emit, example, json_option, say
from exlab_wizard.cli.terminal.table import table
from exlab_wizard.cli.terminal.words import moment
from exlab_wizard.domain.clock import to_text
from exlab_wizard.domain.text.amounts import size
from exlab_wizard.errors import StoreError, UsageError
from exlab_wizard.process.identity import SystemClock
from exlab_wizard.process.instance_lock import instance_lock
from exlab_wizard.process.open_store import database_missing, database_of, opened
from exlab_wizard.store.upkeep import migration
from exlab_wizard.store.upkeep.backup import Backups


class _DatabaseCommands(LazyGroup):
    room = "exlab_wizard.cli.commands.db"
    summaries: ClassVar[Mapping[str, str]] = {
        "check": "Check for damage and for rows that contradict each other.",
        "prune": "Delete old history.",
    }


@click.group("db", cls=_DatabaseCommands, epilog=example("exlab-wizard db check", "exlab-wizard db backup"))
def command() -> None:
    """Check, back up, restore and upgrade the database.

    Never copy the live file with other tools: a copy made during a write is damaged. `db backup` is safe at any time.
    """


@command.command("path", epilog=example('sqlite3 "$(exlab-wizard db path)"'))
@json_option
@click.pass_obj
def path(locations: Locations, *, as_json: bool) -> None:
    """Print the path of the database, whether or not it exists."""
    file = locations.state_dir.database
    if as_json:
        emit({"path": str(file), "exists": file.exists()})
    else:
        # The exact bytes, for other programs to open.
        click.echo(os.fsencode(file))


@command.command(
    "backup",
    short_help="Back up the database, even while it is in use.",
    epilog=example("exlab-wizard db backup", "exlab-wizard db backup /media/usb/exlab.db"),
)
@click.argument("file", required=False)
@click.option("--list", "listing", is_flag=True, help="List the backups, the oldest first.")
@json_option
@click.pass_obj
def backup(locations: Locations, *, file: str | None, listing: bool, as_json: bool) -> None:
    """Back up the database, even while it is in use: to FILE, or to the state dir, where the last five are kept."""
    backups = Backups(locations.state_dir)
    if listing:
        if file is not None:
            raise UsageError("give either a FILE to write or --list, not both")
        _list(backups, as_json=as_json)
        return
    with opened(locations.state_dir) as store, bar("backup", hidden=as_json) as moved:

        def progress(left: int, total: int) -> None:
            moved(total - left, total)

        if file is None:
            target = backups.create(store.database, SystemClock().now(), label="manual", progress=progress)
        else:
            target = Path(file).absolute()
            backups.write(store.database, target, progress=progress)
    if as_json:
        emit({"file": str(target), "bytes": target.stat().st_size})
    else:
        say(f"backup written: {target} ({size(target.stat().st_size)})")


def _list(backups: Backups, *, as_json: bool) -> None:
    stats = [(str(file), file.stat()) for file in backups.all()]
    found = [(file, it.st_size, to_text(datetime.fromtimestamp(it.st_mtime, UTC))) for file, it in stats]
    if as_json:
        emit([{"file": file, "bytes": count, "made_at": at} for file, count, at in found])
    elif not found:
        say("no backups yet; create one with: exlab-wizard db backup")
    else:
        table(("created", "size", "file"), [(moment(at), size(count), file) for file, count, at in found])


@command.command(
    "restore", epilog=example("exlab-wizard quit", "exlab-wizard db backup --list", "exlab-wizard db restore FILE")
)
@click.argument("file")
@json_option
@click.pass_obj
def restore(locations: Locations, *, file: str, as_json: bool) -> None:
    """Replace the database with the backup FILE; the old file is kept beside it.

    The application must not be running. The backup lacks everything that happened since: runs that were queued since
    must be queued again, and runs that were synced since are recognised on the destination.
    """
    locations.state_dir.create()
    try:
        with instance_lock(locations.state_dir):
            kept = Backups(locations.state_dir).restore(Path(file).absolute(), SystemClock().now())
    except OSError as error:
        msg = f"cannot restore {file!r}: {error}"
        raise StoreError(msg) from error
    restored = str(locations.state_dir.database)
    if as_json:
        emit({"database": restored, "restored_from": file, "kept": str(kept) if kept else None})
        return
    say(f"restored: {restored}")
    if kept is not None:
        say(f"old file kept: {kept}")


@command.command("upgrade", epilog=example("exlab-wizard db upgrade"))
@json_option
@click.pass_obj
def upgrade(locations: Locations, *, as_json: bool) -> None:
    """Upgrade the database to this program's schema, with a backup first. `run` does this automatically."""
    if not locations.state_dir.database.exists():
        raise database_missing(locations.state_dir)
    with instance_lock(locations.state_dir), contextlib.closing(database_of(locations.state_dir)) as database:
        done = migration.upgrade(database, Backups(locations.state_dir), SystemClock().now())
    if as_json:
        emit({"upgraded": done, "schema": migration.HEAD_REVISION})
    else:
        say(f"upgraded to schema {migration.HEAD_REVISION}" if done else f"schema {migration.HEAD_REVISION} is current")

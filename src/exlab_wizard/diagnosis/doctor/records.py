"""The database: SQLite library, damage, ends of launches, pending work, backups."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from exlab_wizard.diagnosis.doctor.checkup import CheckResult, bad, doubtful, good
from exlab_wizard.domain.clock import time_typed, to_text
from exlab_wizard.domain.text.amounts import plural, size
from exlab_wizard.errors import DamagedError, StoreError
from exlab_wizard.paths import StateDir
from exlab_wizard.store.sqlite.database import WAL_LIMIT_BYTES
from exlab_wizard.store.sqlite.driver import OLDEST_VERSION, driver, has_wal_reset_bug
from exlab_wizard.store.upkeep.backup import Backups
from exlab_wizard.store.upkeep.damaged import Exit, RawDatabase, open_raw
from exlab_wizard.store.upkeep.migration import HEAD_REVISION, KNOWN_REVISIONS

EXITS: Final = 10
STALE_AFTER: Final = timedelta(days=1)
BACKUP_AFTER: Final = timedelta(days=7)
AHEAD: Final = timedelta(minutes=1)
_PYSQLITE3: Final = "Install the package pysqlite3, which includes a current SQLite."


def library() -> Iterator[CheckResult]:
    """Check the SQLite library in use."""
    version = f"SQLite {driver.sqlite_version} ({driver.__name__.partition('.')[0]})"
    if driver.sqlite_version_info < OLDEST_VERSION:
        yield bad("sqlite", f"{version} is too old", _PYSQLITE3)
    elif has_wal_reset_bug(driver.sqlite_version_info):
        detail = f"{version} can damage a database in WAL mode; the slower rollback journal is used instead"
        yield doubtful("sqlite", detail, _PYSQLITE3)
    else:
        yield good("sqlite", version)


def database(state_dir: StateDir) -> Iterator[CheckResult]:
    """Check the file: readable, of this program, undamaged, its journal bounded."""
    if not state_dir.database.exists():
        yield good("database", f"{state_dir.database} does not exist yet")
        return
    try:
        with open_raw(state_dir.database) as file:
            yield _schema(file)
            yield _journal(state_dir, file.journal_mode())
            yield _structure(file)
    except DamagedError as error:
        yield bad("database", f"it is damaged: {error}", _way_back(state_dir))
    except StoreError as error:
        remedy = "Close programs that lock it, check that your account can read it, then run doctor again."
        yield bad("database", str(error), remedy)


def history(state_dir: StateDir) -> Iterator[CheckResult]:
    """Check the history in the database: ends of launches, pending work, failed jobs."""
    if not state_dir.database.exists():
        return
    try:
        with open_raw(state_dir.database) as file:
            now = datetime.now(UTC)
            yield _exits(file.exits(EXITS), now)
            yield _stale(file, now)
            failed = file.failed()
    except (DamagedError, StoreError):
        return  # reported by the check of the database
    if failed:
        remedy = "Find the cause with: exlab-wizard jobs --state failed; then exlab-wizard retry ID or cancel ID"
        yield doubtful("failed work", f"{failed} waiting to be retried or cancelled", remedy)
    else:
        yield good("failed work", "none")


def backups(state_dir: StateDir) -> Iterator[CheckResult]:
    """Check the age of the newest backup."""
    newest = Backups(state_dir).newest_time()
    remedy = "exlab-wizard db backup; the running application also creates one a day while idle"
    if newest is not None:
        age = datetime.now(UTC) - newest
        detail = f"the newest is {plural(age.days, 'day')} old" if age.days else "the newest is from today"
        yield doubtful("backups", detail, remedy) if age > BACKUP_AFTER else good("backups", detail)
    elif state_dir.database.exists():
        yield doubtful("backups", "none yet", remedy)
    else:
        yield good("backups", "none yet, and no database to back up")


def _schema(file: RawDatabase) -> CheckResult:
    schema = file.revision()
    if schema == HEAD_REVISION:
        return good("database", f"schema {schema}, current")
    if schema in KNOWN_REVISIONS:
        return doubtful("database", f"schema {schema}, older than this program", "exlab-wizard db upgrade")
    if schema is None:
        return bad("database", "not a database of this program", "Move the file away, or use another --state-dir.")
    return bad("database", f"schema {schema}, newer than this program", "Install the newer exlab-wizard.")


def _structure(file: RawDatabase) -> CheckResult:
    found = file.structure()
    if not found:
        return good("structure", "not checked because the file is large; check it with: exlab-wizard db check")
    if found != "ok":
        raise DamagedError(found)
    return good("structure", "undamaged")


def _journal(state_dir: StateDir, mode: str) -> CheckResult:
    wal = state_dir.database.with_name(f"{state_dir.database.name}-wal")
    grown = wal.stat().st_size if wal.exists() else 0
    if grown > WAL_LIMIT_BYTES:
        remedy = "Close the program that keeps a long read transaction open; the journal then shrinks automatically."
        return doubtful("journal", f"{mode}, grown to {size(grown)}", remedy)
    return good("journal", f"{mode}, {size(grown)}")


def _exits(exits: list[Exit], now: datetime) -> CheckResult:
    ended = [one for one in exits if one.end_reason is not None]
    if exits and exits[0].started_at > to_text(now + AHEAD):
        detail = f"the last one started at {exits[0].started_at}, in the future: the clock was set back"
        return doubtful("launches", detail, "Synchronise the clock over the network (NTP).")
    if len(ended) >= 3 and all(one.end_reason == "crashed" and not one.healthy for one in ended[:3]):  # noqa: PLR2004 - as safe mode counts
        return bad("launches", "the last three crashed at startup", "Find the cause with: exlab-wizard logs")
    crashed = [one for one in ended if one.end_reason == "crashed"]
    if crashed:
        last = time_typed(str(crashed[0].ended_at)).astimezone()
        detail = f"{len(crashed)} of the last {len(ended)} crashed, most recently before {last:%Y-%m-%d %H:%M}"
        return doubtful("launches", detail, "Find the cause with: exlab-wizard logs, and exlab-wizard history")
    return good("launches", f"none of the last {len(ended)} crashed" if ended else "none has ended yet")


def _stale(file: RawDatabase, now: datetime) -> CheckResult:
    stale = file.stale(now - STALE_AFTER)
    if not stale:
        return good("pending work", "no job has been pending for more than a day")
    jobs = ", ".join(f"{one.jobs} for {one.destination} since {one.oldest[:10]}" for one in stale)
    return doubtful("pending work", jobs, 'Find the cause with: exlab-wizard sql "SELECT * FROM pending_work"')


def _way_back(state_dir: StateDir) -> str:
    newest = Backups(state_dir).newest()
    if newest is None:
        return "There is no backup: to start with an empty database, move the file away and keep it."
    return f"Restore the newest backup with: exlab-wizard db restore {str(newest)!r}"

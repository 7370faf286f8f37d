"""The database and what it remembers: library, damage, how launches ended, work that grows old, backups."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from exlab_wizard.diagnosis.doctor.checkup import CheckResult, bad, doubtful, good
from exlab_wizard.domain.clock import from_text, to_text
from exlab_wizard.domain.text.amounts import size
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
_PYSQLITE3: Final = "Install the package pysqlite3, which brings a current SQLite."


def library() -> Iterator[CheckResult]:
    """Look at the SQLite in use."""
    told = f"SQLite {driver.sqlite_version} ({driver.__name__.partition('.')[0]})"
    if driver.sqlite_version_info < OLDEST_VERSION:
        yield bad("sqlite", f"{told} is too old", _PYSQLITE3)
    elif has_wal_reset_bug(driver.sqlite_version_info):
        detail = f"{told} can damage a database in WAL mode; the slower rollback journal is used instead"
        yield doubtful("sqlite", detail, _PYSQLITE3)
    else:
        yield good("sqlite", told)


def database(state_dir: StateDir) -> Iterator[CheckResult]:
    """Look at the file: readable, of this program, undamaged, its log bounded."""
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
        remedy = "Close programs that hold it, check that your account may read it, then look again."
        yield bad("database", str(error), remedy)


def history(state_dir: StateDir) -> Iterator[CheckResult]:
    """Look at what the database remembers: ends of launches, work that grows old, jobs that failed."""
    if not state_dir.database.exists():
        return
    try:
        with open_raw(state_dir.database) as file:
            now = datetime.now(UTC)
            yield _exits(file.exits(EXITS), now)
            yield _stale(file, now)
            failed = file.failed()
    except (DamagedError, StoreError):
        return  # said already
    if failed:
        remedy = "See why with: exlab-wizard jobs --state failed; then exlab-wizard retry ID, or exlab-wizard cancel ID"
        yield doubtful("failed work", f"{failed} waiting for somebody to decide", remedy)
    else:
        yield good("failed work", "none")


def backups(state_dir: StateDir) -> Iterator[CheckResult]:
    """Look at the age of the newest backup."""
    newest = Backups(state_dir).newest_time()
    remedy = "exlab-wizard db backup; the running application makes one a day when it is idle"
    if newest is not None:
        age = datetime.now(UTC) - newest
        detail = f"the newest is {age.days} days old" if age.days else "the newest is of today"
        yield doubtful("backups", detail, remedy) if age > BACKUP_AFTER else good("backups", detail)
    elif state_dir.database.exists():
        yield doubtful("backups", "none yet", remedy)
    else:
        yield good("backups", "none yet, and nothing to lose")


def _schema(file: RawDatabase) -> CheckResult:
    held = file.revision()
    if held == HEAD_REVISION:
        return good("database", f"of this program (schema {held})")
    if held in KNOWN_REVISIONS:
        return doubtful("database", f"older than this program (schema {held})", "exlab-wizard db upgrade")
    if held is None:
        return bad("database", "it is not one of this program", "Move the file away, or name another --state-dir.")
    return bad("database", f"newer than this program (schema {held})", "Install the newer exlab-wizard.")


def _structure(file: RawDatabase) -> CheckResult:
    found = file.structure()
    if not found:
        return good("structure", "too large to be read through here; `exlab-wizard db check` takes its time")
    if found != "ok":
        raise DamagedError(found)
    return good("structure", "undamaged")


def _journal(state_dir: StateDir, mode: str) -> CheckResult:
    wal = state_dir.database.with_name(f"{state_dir.database.name}-wal")
    grown = wal.stat().st_size if wal.exists() else 0
    if grown > WAL_LIMIT_BYTES:
        remedy = "Close the program that has been reading the database for long; the log shrinks by itself then."
        return doubtful("journal", f"{mode}, grown to {size(grown)}", remedy)
    return good("journal", f"{mode}, {size(grown)}")


def _exits(exits: list[Exit], now: datetime) -> CheckResult:
    ended = [one for one in exits if one.end_reason is not None]
    if exits and exits[0].started_at > to_text(now + AHEAD):
        detail = f"the last one began at {exits[0].started_at}, which is not yet: the clock was set back"
        return doubtful("launches", detail, "Set the clock by the network (NTP).")
    if len(ended) >= 3 and all(one.end_reason == "crashed" and not one.healthy for one in ended[:3]):  # noqa: PLR2004 - as safe mode counts
        return bad("launches", "the last three crashed at their start", "See why with: exlab-wizard logs")
    crashed = [one for one in ended if one.end_reason == "crashed"]
    if crashed:
        last = from_text(str(crashed[0].ended_at)).astimezone()
        detail = f"{len(crashed)} of the last {len(ended)} crashed, one found at {last:%Y-%m-%d %H:%M}"
        return doubtful("launches", detail, "See why with: exlab-wizard logs, and exlab-wizard history")
    return good("launches", f"none of the last {len(ended)} crashed" if ended else "none has ended yet")


def _stale(file: RawDatabase, now: datetime) -> CheckResult:
    stale = file.stale(now - STALE_AFTER)
    if not stale:
        return good("old work", "nothing is pending for longer than a day")
    told = ", ".join(f"{one.jobs} for {one.destination} since {one.oldest[:10]}" for one in stale)
    return doubtful("old work", told, 'See why with: exlab-wizard sql "SELECT * FROM pending_work"')


def _way_back(state_dir: StateDir) -> str:
    newest = Backups(state_dir).newest()
    if newest is None:
        return "There is no backup: to start with an empty database, move the file away and keep it."
    return f"Restore the newest backup with: exlab-wizard db restore {str(newest)!r}"

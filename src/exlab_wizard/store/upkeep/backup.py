"""Backups of the database, made online with SQLite's own backup API: the live file is never copied by other means.

Each is complete or not there: it is written beside its final name, checked, and renamed.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from exlab_wizard.crash_points import Point, reached
from exlab_wizard.domain.clock import to_text
from exlab_wizard.durable import make_folder, sync_file, sync_folder
from exlab_wizard.errors import RefusedError, StoreError
from exlab_wizard.paths import StateDir
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.sqlite.driver import driver, open_read_only

KEPT_BACKUPS: Final = 5
_PAGES_PER_STEP: Final = 1_000
_TIMEOUT_SECONDS: Final = 30.0
_LOCK_TIMEOUT_SECONDS: Final = 2.0
_REMEDY: Final = "Make the folder writable, or free up space there."
_PART: Final = ".part"
_RESTORING: Final = ".restoring"
_REPLACED: Final = ".replaced-"
_JOURNALS: Final = ("-wal", "-shm", "-journal")
_NAME: Final = re.compile(r"exlab-wizard-\d{8}T\d{9}Z-[\w.-]+\.db")


class Backups:
    """The folder of backups in the state dir; it is created with the first backup."""

    def __init__(self, state_dir: StateDir) -> None:
        self._folder = state_dir.backups
        self._database = state_dir.database

    def newest(self, now: datetime | None = None) -> Path | None:
        """Return the newest backup, or None."""
        return next(reversed(self.all(now)), None)

    def newest_time(self, now: datetime | None = None) -> datetime | None:
        """Return when the newest backup was made, as its name says; None where there is none before `now`."""
        made = [at for at in map(_made_at, self.all(now)) if at <= (now or datetime.now(UTC))]
        return made[-1] if made else None

    def all(self, now: datetime | None = None) -> list[Path]:
        """Return every backup, the oldest first.

        One whose name is later than `now` was made under a clock that was set wrong: it counts as older than all.
        """
        latest = now or datetime.now(UTC)
        try:
            found = [path for path in self._folder.iterdir() if _NAME.fullmatch(path.name)]
        except FileNotFoundError:
            return []
        return sorted(found, key=lambda path: (_made_at(path) <= latest, path.name))

    def create(
        self, database: Database, now: datetime, *, label: str, progress: Callable[[int, int], None] | None = None
    ) -> Path:
        """Back the database up while it is in use, keep the last five, and return the new file.

        `progress` is called with pages left and pages in all.
        """
        stamp = re.sub(r"[-:.]", "", to_text(now))
        target = self._folder / f"exlab-wizard-{stamp}-{label}.db"
        with self._locked():
            for left in self._folder.glob(f"*.db{_PART}*"):
                left.unlink(missing_ok=True)
            self.write(database, target, progress=progress)
            for old in self.all(now)[:-KEPT_BACKUPS]:
                old.unlink(missing_ok=True)
        return target

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Be the only writer in the folder, so that partial files there were left by a killed program."""
        lock = FileLock(self._folder / "writing.lock", thread_local=False)
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock.acquire(timeout=_TIMEOUT_SECONDS)
        except Timeout as error:
            msg = f"another program is still writing a backup to {str(self._folder)!r}; try again later"
            raise StoreError(msg) from error
        except OSError as error:
            msg = f"cannot write backups to {str(self._folder)!r}: {error}. {_REMEDY}"
            raise StoreError(msg) from error
        try:
            yield
        finally:
            lock.release()

    def write(self, database: Database, target: Path, *, progress: Callable[[int, int], None] | None = None) -> None:
        """Back the database up to `target`, which must not exist.

        Raises:
            RefusedError: `target` exists.
            StoreError: it cannot be written; nothing is left behind.
        """
        if target.exists():
            msg = f"{str(target)!r} already exists; choose another file"
            raise RefusedError(msg)
        part = target.with_name(target.name + _PART)
        try:
            make_folder(target.parent, 0o700)
            _discard(part)
            _copy(database.connection(), part, progress)
            reached(Point.BACKUP_BEFORE_RENAME)
            part.replace(target)
            sync_folder(target.parent)
            reached(Point.BACKUP_AFTER_RENAME)
        except (OSError, driver.Error) as error:
            _discard(part)
            msg = f"cannot write the backup {str(target)!r}: {error}. {_REMEDY}"
            raise StoreError(msg) from error

    def restore(self, source: Path, now: datetime) -> Path | None:
        """Put a backup in the place of the database and return where the old file was kept; under the instance lock.

        Raises:
            RefusedError: `source` is no usable backup, or another program has the database open; nothing was changed.
        """
        check_backup(source)
        self.clear_interrupted()
        part = self._database.with_name(self._database.name + _RESTORING)
        with contextlib.closing(open_read_only(source)) as backup:
            _copy(backup, part, None)
        kept: Path | None = None
        if self._database.exists():
            kept = self._database.with_name(f"{self._database.name}{_REPLACED}{re.sub(r'[-:.]', '', to_text(now))}")
            try:
                _keep(self._database, kept)
            except RefusedError:
                _discard(part)
                raise
        reached(Point.RESTORE_BEFORE_RENAME)
        part.replace(self._database)
        sync_folder(self._database.parent)
        reached(Point.RESTORE_AFTER_RENAME)
        return kept

    def clear_interrupted(self) -> None:
        """Remove the copies that an interrupted restore has left; under the instance lock."""
        for pattern in (f"{_RESTORING}*", f"{_REPLACED}*{_PART}*"):
            for left in self._database.parent.glob(self._database.name + pattern):
                left.unlink(missing_ok=True)


def _made_at(backup: Path) -> datetime:
    stamp = backup.name.split("-")[2]
    return datetime.strptime(stamp[:-1] + "000Z", "%Y%m%dT%H%M%S%fZ").replace(tzinfo=UTC)


def _keep(database: Path, kept: Path) -> None:
    """Copy the old database away and leave it in place, without a journal that could be replayed into the new one.

    Killed at any step, it leaves a whole database under the old name, which one rename then replaces.
    """
    part = kept.with_name(kept.name + _PART)
    try:
        connection = driver.connect(database, timeout=_LOCK_TIMEOUT_SECONDS, isolation_level=None)
        with contextlib.closing(connection) as old:
            free = _is_exclusive(old)
            if free:
                _copy(old, part, None)
                old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except driver.Error:
        # It is damaged: keep every byte of it, as it is.
        _discard(part)
        for suffix in (*_JOURNALS, ""):
            if (beside := database.with_name(database.name + suffix)).exists():
                shutil.copyfile(beside, part)
                with part.open("r+b") as file:
                    sync_file(file.fileno())
                part.replace(kept.with_name(kept.name + suffix))
    else:
        if not free:
            msg = f"another program has the database {str(database)!r} open; close that program, then restore again"
            raise RefusedError(msg)
        part.replace(kept)
    sync_folder(database.parent)
    for suffix in _JOURNALS:
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    # A journal that reappeared after a power cut would be replayed into the new database.
    sync_folder(database.parent)


def _is_exclusive(old: driver.Connection) -> bool:
    """Keep other programs out; False when one has the file open.

    It would keep writing into the replaced file, and remove the new one's WAL when it closes. A connection in WAL
    mode keeps a shared lock on the file while it is open, which excludes an exclusive one.
    """
    try:
        old.execute("PRAGMA locking_mode = EXCLUSIVE")
        old.execute("BEGIN EXCLUSIVE")
        old.execute("COMMIT")
    except driver.OperationalError as error:
        if "locked" in str(error):
            return False
        raise
    return True


def _discard(part: Path) -> None:
    for suffix in ("", *_JOURNALS):
        part.with_name(part.name + suffix).unlink(missing_ok=True)


def check_backup(source: Path) -> None:
    """Raise unless `source` is a whole database of this program.

    Raises:
        RefusedError: it is not; the message says why.
    """
    if not source.is_file():
        msg = f"{str(source)!r} is not a file; `exlab-wizard db backup --list` lists the backups"
        raise RefusedError(msg)
    with contextlib.closing(open_read_only(source)) as connection:
        try:
            verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except driver.DatabaseError as error:
            verdict = str(error)
    if verdict != "ok":
        msg = f"{str(source)!r} is not a usable backup: {verdict}; `exlab-wizard db backup --list` lists the others"
        raise RefusedError(msg)


def _copy(source: driver.Connection, part: Path, progress: Callable[[int, int], None] | None) -> None:
    def report(_status: int, left: int, total: int) -> None:
        if progress is not None:
            progress(left, total)

    with contextlib.closing(driver.connect(part)) as target:
        target.execute("PRAGMA synchronous = FULL")
        source.backup(target, pages=_PAGES_PER_STEP, progress=report)
        target.execute("PRAGMA journal_mode = delete")
        verdict = target.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        msg = f"the copy is damaged: {verdict}"
        raise driver.DatabaseError(msg)
    part.chmod(0o600)

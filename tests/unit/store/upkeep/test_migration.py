"""Bringing a database up to date: with a backup, in one transaction, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from tests.support import given

from exlab_wizard import __version__
from exlab_wizard.domain.job import JobState
from exlab_wizard.errors import RefusedError, StoreError
from exlab_wizard.paths import StateDir
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.store import Store
from exlab_wizard.store.tables import metadata
from exlab_wizard.store.upkeep import migration
from exlab_wizard.store.upkeep.backup import KEPT_BACKUPS, Backups

ROOT = Path(__file__).resolve().parents[4]


def fingerprint(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}


def alembic(database: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "alembic", "-x", f"db={database}", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_alembic_upgrades_finds_nothing_to_do_and_downgrades_from_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "by-hand.db"
    for words in (("upgrade", "head"), ("check",), ("downgrade", "base"), ("upgrade", "head")):
        ended = alembic(file, *words)
        assert ended.returncode == 0, ended.stderr
    with closing(Database(file)) as database:
        assert migration.revision(database) == migration.HEAD_REVISION
        store = Store(database)
        launch_id = given.launch(store).launch_id
        for state in (JobState.VERIFIED, JobState.RESUMABLE):
            given.bring_to(store, launch_id, state)
    ended = alembic(file, "downgrade", "base")
    assert ended.returncode == 0, ended.stderr
    left = given.shell(
        file, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
    )
    assert left.stdout.split() == ["alembic_version"]


def test_the_revisions_that_the_program_knows_are_those_of_the_migrations() -> None:
    found = sorted(path.name.partition("_")[0] for path in (migration.migrations_dir() / "versions").glob("[0-9]*.py"))
    assert tuple(found) == migration.KNOWN_REVISIONS


def test_indexes_of_the_statements_are_those_of_the_migration(store: Store) -> None:
    """Alembic does not compare the conditions of partial indexes, and hot statements live on them."""
    dialect = sqlite.dialect()
    built = {
        str(index.name): str(sa.schema.CreateIndex(index).compile(dialect=dialect))
        for table in metadata.tables.values()
        for index in table.indexes
    }
    held = {
        str(name): str(sql)
        for name, sql in given.execute(
            store, "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        )
    }
    plain = str.maketrans("", "", ' \n"()')
    assert {name: sql.translate(plain) for name, sql in built.items()} == {
        name: sql.translate(plain) for name, sql in held.items()
    }


def test_an_up_to_date_database_is_left_alone_and_alembic_is_not_loaded(place: StateDir) -> None:
    code = (
        "import sys; from pathlib import Path; from exlab_wizard.paths import StateDir;"
        " from tests.support import given;"
        "given.migrate(StateDir(Path(sys.argv[1]))); sys.exit('alembic' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(place.root)], cwd=ROOT, check=False)
    assert ended.returncode == 0
    assert Backups(place).all() == []


MIGRATE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from alembic import command
from exlab_wizard.paths import StateDir
from exlab_wizard.store.sqlite.database import Database
from tests.support import given

def migrate(deadly: int) -> None:
    statements = 0

    def look(text: str) -> None:
        nonlocal statements
        statements += not text.startswith("--")
        if statements == deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    class Traced(Database):
        def _connect(self):
            connection = super()._connect()
            connection.set_trace_callback(look)
            return connection

    given.Database = Traced
    given.migrate(StateDir(Path(sys.argv[1])))
    print(statements, flush=True)
    os._exit(0)

for line in sys.stdin:
    child = os.fork() or migrate(int(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork and no SIGKILL there")
def test_killed_inside_a_migration_leaves_the_old_schema_and_the_next_launch_migrates(tmp_path: Path) -> None:
    state_dir = StateDir(tmp_path / "state")
    command = [sys.executable, "-c", MIGRATE_AND_DIE, str(state_dir.root)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def migrate(deadly: int) -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{deadly}\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        total = int(migrate(0))
        assert process.stdout.readline() == "0\n"
        for deadly in (5, total // 4, total // 2, total - 2, total - 1):
            shutil.rmtree(state_dir.root)
            assert migrate(deadly) == str(-signal.SIGKILL)
            tables = given.shell(state_dir.database, "SELECT name FROM sqlite_master")
            assert tables.stdout == "", f"killed at statement {deadly} of {total}"
        assert int(migrate(0)) >= total, "the next launch migrates from the start"
    with closing(Database(state_dir.database)) as database:
        assert migration.revision(database) == migration.HEAD_REVISION
        migration.quick_check(database)


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program with one more migration; returns its file."""
    file = given.next_migration(tmp_path / "migrations")
    monkeypatch.setattr(migration, "KNOWN_REVISIONS", ("0001", "0002", "0003"))
    monkeypatch.setattr(migration, "HEAD_REVISION", "0003")
    monkeypatch.setattr(migration, "migrations_dir", lambda: tmp_path / "migrations")
    return file


def test_a_backup_is_made_before_a_migration(place: StateDir, store: Store, next_version: Path) -> None:
    assert next_version.exists()
    (job_id,) = given.enqueue(store, "a")
    assert migration.upgrade(store.database, Backups(place), given.NOW)
    assert migration.revision(store.database) == "0003"
    assert store.jobs.state_of(job_id) is JobState.QUEUED
    (backup,) = Backups(place).all()
    assert backup.name == "exlab-wizard-20260301T120000000Z-before-0003.db"
    said = given.shell(backup, "SELECT version_num FROM alembic_version; SELECT run_path FROM sync_jobs")
    assert said.stdout.split() == ["0002", "/runs/a"]


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    place: StateDir, store: Store, next_version: Path
) -> None:
    next_version.write_text(next_version.read_text().replace("even_more", "more"))
    with pytest.raises(StoreError, match=r"cannot be migrated: table more already exists\. Nothing was changed"):
        migration.upgrade(store.database, Backups(place), given.NOW)
    assert migration.revision(store.database) == "0002"
    assert given.execute(store, "SELECT name FROM sqlite_master WHERE name LIKE '%more'") == []


def test_an_older_database_is_not_used_outside_a_launch(store: Store, next_version: Path) -> None:
    assert next_version.exists()
    told = r"has schema 0002, but this program needs 0003\. Run: exlab-wizard db upgrade"
    with pytest.raises(RefusedError, match=told):
        migration.require_current(store.database)


def test_a_newer_database_is_refused_by_both_versions_and_not_one_byte_is_changed(place: StateDir) -> None:
    with closing(Database(place.database)) as database:
        store = Store(database)
        given.launch(store)
        given.execute(store, "UPDATE alembic_version SET version_num = '0999'")
        given.execute(store, "UPDATE launches SET version = '9.9.9'")
    before = fingerprint(place.root)
    with closing(Database(place.database)) as database, pytest.raises(migration.NewerDatabaseError) as at_launch:
        migration.upgrade(database, Backups(place), given.NOW)
    with closing(Database(place.database)) as database, pytest.raises(migration.NewerDatabaseError) as in_command:
        migration.require_current(database)
    for refusal in (at_launch.value, in_command.value):
        for word in ("0999", "9.9.9", migration.HEAD_REVISION, __version__, "nothing was changed"):
            assert word in str(refusal)
        assert refusal.exit_status == 4
    assert fingerprint(place.root) == before


@pytest.mark.parametrize("damage", ["no database at all", "first page", "somebody else's database", "no revision"])
def test_a_damaged_database_is_refused_kept_and_the_backup_named(place: StateDir, damage: str) -> None:
    with closing(Database(place.database)) as database:
        backup = Backups(place).create(database, given.NOW, label="daily")
    match damage:
        case "no database at all":
            place.database.write_bytes(b"this is a letter, not a database\n" * 500)
        case "first page":
            with place.database.open("r+b") as file:
                file.seek(100)
                file.write(b"\xff" * 3_000)
        case "somebody else's database":
            place.database.unlink()
            given.shell(place.database, "CREATE TABLE recipes (name TEXT)")
        case _:
            given.shell(place.database, "DELETE FROM alembic_version")
    before = place.database.read_bytes()
    with closing(Database(place.database)) as database, pytest.raises(migration.DamagedDatabaseError) as caught:
        migration.upgrade(database, Backups(place), given.NOW)
    assert "Nothing was changed" in str(caught.value)
    assert f"exlab-wizard db restore '{backup}'" in str(caught.value)
    if damage != "somebody else's database":
        assert place.database.read_bytes() == before
    kept = Backups(place).restore(backup, given.NOW)
    assert kept is not None
    with closing(Database(place.database)) as database:
        assert not migration.upgrade(database, Backups(place), given.NOW)


def test_damage_inside_is_found_by_the_quick_check(store: Store, place: StateDir, launch_id: int) -> None:
    given.enqueue(store, *(f"run-{number}" for number in range(300)))
    (page,) = given.execute(store, "SELECT rootpage FROM sqlite_master WHERE name = 'jobs_one_unfinished'")[0]
    assert isinstance(page, int)
    assert launch_id
    store.close()
    with place.database.open("r+b") as file:
        file.seek((page - 1) * 4096 + 8)
        file.write(b"\xff" * 4_000)
    with (
        closing(Database(place.database)) as database,
        pytest.raises(migration.DamagedDatabaseError, match="no backup"),
    ):
        migration.quick_check(database)


def test_a_database_that_is_locked_is_not_called_damaged(place: StateDir) -> None:
    given.shell(place.database, "PRAGMA journal_mode = delete")
    with closing(Database(place.database, journal_mode="delete", busy_timeout_s=0.1)) as database:
        migration.require_current(database)
        with closing(Database(place.database, journal_mode="delete")) as other:
            other.connection().execute("BEGIN EXCLUSIVE")
            with pytest.raises(StoreError, match="locked") as caught:
                migration.require_current(database)
            assert not isinstance(caught.value, migration.DamagedDatabaseError)


def test_five_backups_are_kept_each_complete_and_private(place: StateDir, store: Store) -> None:
    backups = Backups(place)
    assert (backups.all(), backups.newest(), backups.newest_time()) == ([], None, None)
    made = [backups.create(store.database, given.later(number), label="daily") for number in range(KEPT_BACKUPS + 2)]
    assert backups.all() == made[2:]
    assert backups.newest() == made[-1]
    assert backups.newest_time() == given.later(KEPT_BACKUPS + 1)
    assert given.shell(made[-1], "PRAGMA integrity_check").stdout == "ok\n"
    assert made[-1].stat().st_mode & 0o077 == 0 or os.name == "nt"
    with pytest.raises(RefusedError, match="already exists"):
        backups.write(store.database, made[-1])


def test_a_restored_backup_has_what_it_had_and_the_old_file_is_kept(place: StateDir, store: Store) -> None:
    (old,) = given.enqueue(store, "old")
    backup = Backups(place).create(store.database, given.NOW, label="manual")
    (new,) = given.enqueue(store, "new")
    store.close()
    kept = Backups(place).restore(backup, given.NOW)
    assert kept is not None
    with closing(Database(place.database)) as database, closing(Database(kept)) as replaced:
        assert [Store(database).jobs.state_of(job) for job in (old, new)] == [JobState.QUEUED, None]
        assert Store(replaced).jobs.state_of(new) is JobState.QUEUED
    assert backup.exists()


def test_a_restore_of_a_killed_program_keeps_the_log_with_the_old_file(place: StateDir, store: Store) -> None:
    """The WAL of a database that was not closed holds commits; beside the restored file it would damage it."""
    backup = Backups(place).create(store.database, given.NOW, label="manual")
    (new,) = given.enqueue(store, "new")
    files = (place.database, place.database.with_name("exlab-wizard.db-wal"))
    as_killed = [file.read_bytes() for file in files]
    assert as_killed[1]
    store.close()
    for file, content in zip(files, as_killed, strict=True):
        file.write_bytes(content)
    kept = Backups(place).restore(backup, given.NOW)
    assert kept is not None
    assert not place.database.with_name("exlab-wizard.db-wal").exists()
    said = given.shell(kept, "SELECT id FROM sync_jobs")
    assert said.stdout.split() == [str(new)]
    assert given.shell(place.database, "PRAGMA integrity_check; SELECT count(*) FROM sync_jobs").stdout == "ok\n0\n"


def test_a_restore_is_refused_while_another_program_has_the_database_open(
    place: StateDir, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would queue into the file that was replaced, and remove the WAL of the new one when it closes."""
    monkeypatch.setattr("exlab_wizard.store.upkeep.backup._LOCK_TIMEOUT_SECONDS", 0.1)
    backup = Backups(place).create(store.database, given.NOW, label="manual")
    (new,) = given.enqueue(store, "new")
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM sync_jobs').fetchall();"
    code += "print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(place.database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        store.close()
        names = sorted(path.name for path in place.root.iterdir())
        with pytest.raises(RefusedError, match=r"another program has the database .* open; close that program"):
            Backups(place).restore(backup, given.NOW)
        assert store.jobs.state_of(new) is JobState.QUEUED
        store.close()
        assert sorted(path.name for path in place.root.iterdir()) == names
        other.communicate()
    assert Backups(place).restore(backup, given.NOW) is not None
    with closing(Database(place.database)) as restored:
        assert Store(restored).jobs.state_of(new) is None


def test_backups_from_a_clock_years_ahead_neither_keep_new_ones_away_nor_push_them_out(
    place: StateDir, store: Store
) -> None:
    backups = Backups(place)
    ahead = [backups.create(store.database, given.later(day * 86_400), label="daily") for day in range(2_000, 2_005)]
    assert backups.newest_time(given.NOW) is None
    made = backups.create(store.database, given.NOW, label="daily")
    assert backups.all(given.NOW) == [*ahead[1:], made]
    assert (backups.newest(given.NOW), backups.newest_time(given.NOW)) == (made, given.NOW)


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\x00" + b"\xff" * 8192, None])
def test_restore_refuses_what_is_no_backup_and_changes_nothing(
    place: StateDir, tmp_path: Path, content: bytes | None
) -> None:
    source = tmp_path / "backup.db"
    if content is not None:
        source.write_bytes(content)
    before = fingerprint(place.root)
    with pytest.raises(RefusedError):
        Backups(place).restore(source, given.NOW)
    assert fingerprint(place.root) == before
    assert not source.with_name("backup.db-journal").exists()


def test_a_library_that_is_too_old_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    migration.check_library()
    monkeypatch.setattr(migration, "OLDEST_VERSION", (99, 0, 0))
    with pytest.raises(StoreError, match=r"is too old: 99\.0\.0 or later is required"):
        migration.check_library()

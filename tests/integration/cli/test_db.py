from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.integration.cli.calls import Cli

from exlab_wizard.crash_points import Point, watch
from exlab_wizard.domain.job import JobState, OperatorMove
from exlab_wizard.paths import StateDir
from exlab_wizard.process.instance_lock import instance_lock
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.store import Store
from exlab_wizard.store.upkeep import migration
from exlab_wizard.store.upkeep.backup import Backups


def test_a_backup_is_restored_and_the_old_file_kept(cli: Cli, store: Store, tmp_path: Path, state_dir: Path) -> None:
    assert cli("db", "backup").status == 0
    listed = cli("db", "backup", "--list", "--json").document
    assert isinstance(listed, list)
    backup = listed[0]["file"]
    named = tmp_path / "usb" / "copy.db"
    assert cli("db", "backup", str(named)).status == 0
    assert named.is_file()
    assert cli("db", "backup", str(named)).status == 4
    assert cli("cancel", "1").status == 0
    store.close()
    restored = cli("db", "restore", backup, "--json").document
    assert isinstance(restored, dict)
    assert Path(restored["kept"]).is_file()
    assert store.jobs.state_of(1) is JobState.QUEUED
    assert [path.name for path in state_dir.iterdir() if path.name.endswith(".part")] == []


def test_restore_is_refused_while_somebody_runs(cli: Cli, store: Store, state_dir: Path, tmp_path: Path) -> None:
    backup = tmp_path / "copy.db"
    assert cli("db", "backup", str(backup)).status == 0
    assert cli("cancel", "1").status == 0
    with instance_lock(StateDir(state_dir)):
        answer = cli("db", "restore", str(backup))
        assert cli("db", "upgrade").status == 4
    assert answer.status == 4
    assert "exlab-wizard quit" in answer.err
    assert store.jobs.state_of(1) is JobState.CANCELLED


def test_a_restore_that_is_cut_off_leaves_the_old_database_whole(cli: Cli, store: Store, state_dir: Path) -> None:
    backup = state_dir / "copy.db"
    assert cli("db", "backup", str(backup)).status == 0
    later = store.jobs.enqueue(NewJob("/runs/later", "nas"), datetime.now(UTC)).job_id

    def cut_off(point: Point) -> None:
        assert point is Point.RESTORE_BEFORE_RENAME
        raise KeyboardInterrupt

    store.close()
    watch(cut_off)
    try:
        with pytest.raises(KeyboardInterrupt):
            Backups(StateDir(state_dir)).restore(backup, datetime.now(UTC))
    finally:
        watch(None)
    assert store.jobs.state_of(later) is JobState.QUEUED
    store.close()
    assert cli("db", "restore", str(backup)).status == 0
    restored = Store(Database(StateDir(state_dir).database))
    assert restored.jobs.state_of(later) is None
    restored.close()


def test_a_journal_of_the_old_database_is_not_played_into_the_restored_one(
    cli: Cli, nas: Path, state_dir: Path
) -> None:
    """Where the WAL cannot be used, a kill leaves a rollback journal; by its name it belongs to what lies there now."""
    assert nas.is_dir()
    backup, live = state_dir / "copy.db", state_dir / "exlab-wizard.db"
    assert cli("db", "upgrade").status == 1
    database = Database(live, journal_mode="delete")
    migration.upgrade(database, Backups(StateDir(state_dir)), datetime.now(UTC))
    assert cli("db", "backup", str(backup)).status == 0
    writing = database.connection()
    writing.execute("PRAGMA cache_size = 1")
    writing.execute("BEGIN IMMEDIATE")
    writing.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)"
        " INSERT INTO sync_jobs (run_path, destination, enqueued_at) SELECT '/runs/' || i, 'nas', '' FROM n"
    )
    as_killed = {name: (state_dir / name).read_bytes() for name in (live.name, f"{live.name}-journal")}
    database.close()
    for name, content in as_killed.items():
        (state_dir / name).write_bytes(content)
    assert cli("db", "restore", str(backup)).status == 0
    assert not (state_dir / f"{live.name}-journal").exists()
    assert cli("db", "check").status == 0


def test_what_is_no_backup_is_not_restored(cli: Cli, store: Store, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database\n" * 100, "utf-8")
    for name in ("text", "missing"):
        answer = cli("db", "restore", str(tmp_path / name))
        assert answer.status == 4
        assert len(answer.err.splitlines()) == 1
    assert store.jobs.state_of(1) is JobState.QUEUED


def test_path_and_upgrade(cli: Cli, store: Store, state_dir: Path) -> None:
    path = state_dir / "exlab-wizard.db"
    assert cli("db", "path").out == f"{path}\n"
    assert cli("db", "path", "--json").document == {"path": str(path), "exists": True}
    assert cli("db", "upgrade", "--json").document == {"upgraded": False, "schema": "0002"}
    assert store.jobs.state_of(1) is JobState.QUEUED


def test_a_damaged_database_is_refused_and_kept(cli: Cli, nas: Path, state_dir: Path) -> None:
    damaged = b"this is no database " * 500
    (state_dir / "exlab-wizard.db").write_bytes(damaged)
    for words in (["jobs"], ["status"], ["db", "upgrade"]):
        answer = cli(*words)
        assert answer.status == 4
        assert "damaged" in answer.err
        assert len(answer.err.splitlines()) == 1
    assert (state_dir / "exlab-wizard.db").read_bytes() == damaged
    assert nas.is_dir()


def test_a_sound_database_passes_its_check(cli: Cli, store: Store) -> None:
    document = cli("db", "check", "--json").document
    assert isinstance(document, dict)
    assert document["ok"] is True
    assert all(finding["ok"] for finding in document["findings"])
    assert cli("db", "check").status == 0
    assert store.jobs.state_of(1) is JobState.QUEUED


def test_prune_says_what_would_go_and_then_what_went(cli: Cli, store: Store, state_dir: Path) -> None:
    assert cli("cancel", "1").status == 0
    store.jobs.enqueue(NewJob("/runs/pending", "nas"), datetime.now(UTC))
    moved = store.jobs.enqueue(NewJob("/runs/moved-last", "nas"), datetime.now(UTC)).job_id
    store.jobs.decide([moved], OperatorMove.CANCEL)
    store.database.connection().execute("UPDATE sync_jobs SET finished_at = '2020-01-01T00:00:00.000Z' WHERE id = 1")
    would = cli("db", "prune", "--older-than", "1y", "--dry-run")
    assert would.out.startswith("would delete history from before ")
    assert would.out.rstrip().endswith(": 1 job, 0 files, 1 event, 0 sessions")
    assert store.jobs.state_of(1) is JobState.CANCELLED
    with instance_lock(StateDir(state_dir)):
        assert cli("db", "prune", "--older-than", "1y", "--shrink").status == 4
        assert store.jobs.state_of(1) is JobState.CANCELLED
        gone = cli("db", "prune", "--older-than", "1y", "--json").document
        assert isinstance(gone, dict)
        assert gone["dry_run"] is False
        assert [gone[name] for name in ("jobs", "files", "events", "sessions")] == [1, 0, 1, 0]
    assert store.jobs.state_of(1) is None
    shrunk = cli("db", "prune", "--older-than", "12w", "--shrink")
    assert (shrunk.status, "the database file is now " in shrunk.out) == (0, True)


@pytest.mark.parametrize("text", ["0d", "90", "d", "-1d", "1.5y", "999999y", "90 d", "1h"])
def test_what_is_no_time_is_wrong_usage(text: str, cli: Cli, store: Store) -> None:
    assert store.jobs.state_of(1) is JobState.QUEUED
    answer = cli("db", "prune", "--older-than", text)
    assert (answer.status, "such as 90d" in answer.err) == (2, True)

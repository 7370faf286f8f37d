"""What the tests of the store share: a migrated database, moments, jobs in every state, the `sqlite3` shell."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from exlab_wizard.domain.files import FileRecord, FileState, JobProgress
from exlab_wizard.domain.job import ErrorKind, JobState, OperatorMove
from exlab_wizard.domain.outcome import Decision
from exlab_wizard.paths import StateDir
from exlab_wizard.store.queue.claims import ClaimedJob
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.store.queue.launches import Recovery, ThisProcess
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.sqlite.values import Row
from exlab_wizard.store.store import Store
from exlab_wizard.store.upkeep import migration
from exlab_wizard.store.upkeep.backup import Backups

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
BOOT = "boot-1"
DONE = Decision(JobState.VERIFIED, "read back and published")
FAILED = Decision(JobState.FAILED, "failed: auth", error_kind=ErrorKind.AUTH, error_detail="log in again")
CUT_OFF = Decision(JobState.RESUMABLE, "quit", attempt_given_back=True, interrupted=True)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def migrate(state_dir: StateDir) -> None:
    state_dir.create()
    database = Database(state_dir.database)
    migration.upgrade(database, Backups(state_dir), NOW)
    database.close()


def next_migration(folder: Path) -> Path:
    """Copy the migrations to `folder` with one more, revision 0003, and return its file."""
    shutil.copytree(migration.migrations_dir(), folder, ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / "versions" / "0003_more.py"
    file.write_text(
        "from alembic import op\nrevision = '0003'\ndown_revision = '0002'\n"
        "def upgrade():\n    op.execute('CREATE TABLE more (x INTEGER)')\n"
        "    op.execute('CREATE TABLE even_more (x INTEGER)')\n"
    )
    return file


def this_process(boot_id: str = BOOT) -> ThisProcess:
    return ThisProcess("lab-pc", boot_id, 4711, "2026-03-01T11:59:59.000Z", "0.1.0")


def launch(store: Store, boot_id: str = BOOT, at: datetime = NOW) -> Recovery:
    return store.launches.recover(this_process(boot_id), at)


def enqueue(store: Store, *names: str) -> list[int]:
    return [store.jobs.enqueue(NewJob(f"/runs/{name}", "nas"), NOW).job_id for name in names]


def claim(store: Store, launch_id: int) -> ClaimedJob:
    job = store.jobs.claim(launch_id, NOW)
    assert job is not None
    return job


def bring_to(store: Store, launch_id: int, state: JobState) -> int:
    """Make a job of its own and bring it to `state` by legal moves; there may be nothing else that is due."""
    (job_id,) = enqueue(store, f"brought-to-{state}")
    if state is JobState.QUEUED:
        return job_id
    job = claim(store, launch_id)
    assert job.job_id == job_id
    match state:
        case JobState.VERIFYING | JobState.VERIFIED | JobState.CLEANED:
            assert store.jobs.all_sent(job_id, job.claim_id)
            if state is not JobState.VERIFYING:
                assert store.jobs.finish(job, DONE, NOW)
            if state is JobState.CLEANED:
                execute(store, f"UPDATE sync_jobs SET state = 'cleaned' WHERE id = {job_id}")
        case JobState.FAILED:
            assert store.jobs.finish(job, FAILED, NOW)
        case JobState.RESUMABLE:
            assert store.jobs.finish(job, CUT_OFF, NOW)
        case JobState.CANCELLED:
            store.jobs.decide([job_id], OperatorMove.CANCEL)
        case _:
            pass
    assert store.jobs.state_of(job_id) is state
    return job_id


def execute(store: Store, sql: str) -> list[Row]:
    return store.database.connection().execute(sql).fetchall()


def row(store: Store, job_id: int) -> dict[str, object]:
    cursor = store.database.connection().execute(f"SELECT * FROM sync_jobs WHERE id = {int(job_id)}")
    return dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))


def moves(store: Store, job_id: int) -> list[tuple[str | None, str]]:
    return [(event.from_state, event.to_state) for event in store.rows.events(job_id)]


def sent(name: str, size: int, done: int) -> FileRecord:
    state = FileState.COPIED if done == size else FileState.PENDING
    return FileRecord(name, size, 1, state, done, "aa", "bb" if done == size else None)


def progress(done: int, total: int = 100, verified: int = 0) -> JobProgress:
    return JobProgress(1, int(done == total), total, done, verified, 0)


def shell(database: Path, sql: str) -> subprocess.CompletedProcess[str]:
    """Type `sql` into the real `sqlite3` shell."""
    return subprocess.run(
        ["sqlite3", "-bail", "-cmd", ".timeout 60000", str(database), sql],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
    )


def steps_of(store: Store, act: Callable[[], object]) -> int:
    """How many instructions SQLite's machine runs for `act`; the same each time, unlike seconds."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    store.database.connection().set_progress_handler(step, 1)
    try:
        act()
    finally:
        store.database.connection().set_progress_handler(None, 1)
    return count

"""A worker pool over a real database, with attempts that do what a test says instead of copying."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from unittest import mock

from exlab_wizard.domain.clock import to_text
from exlab_wizard.domain.outcome import Completed, Decision, Outcome
from exlab_wizard.errors import StoreError
from exlab_wizard.paths import StateDir
from exlab_wizard.settings import SettingsFile
from exlab_wizard.store.queue.claims import ClaimedJob
from exlab_wizard.store.queue.jobs import Jobs, NewJob
from exlab_wizard.store.queue.launches import ThisProcess
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.sqlite.values import Value
from exlab_wizard.store.store import Store
from exlab_wizard.store.upkeep import migration
from exlab_wizard.store.upkeep.backup import Backups
from exlab_wizard.transfer.ports import TransferControl
from exlab_wizard.workers.attempt import Attempts
from exlab_wizard.workers.pool import WorkerPool

START: Final = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
Script = Callable[[ClaimedJob, TransferControl], Outcome]


class HandClock:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.wall = START
        self.steady = 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def pass_time(self, seconds: float) -> None:
        """Let time pass as it does."""
        self.wall += timedelta(seconds=seconds)
        self.steady += seconds


class Scripted(Attempts):
    """Calls the script of a run, or says that all went well; remembers what was tried."""

    def __init__(self, store: Store, settings: SettingsFile) -> None:
        super().__init__(store, settings, "0123456789abcdef", "lab-1", lambda: None)
        self.scripts: dict[str, Script] = {}
        self.tried: list[str] = []

    def run(self, job: ClaimedJob, control: TransferControl) -> Outcome:
        self.tried.append(job.run_path)
        script = self.scripts.get(job.run_path)
        outcome = script(job, control) if script else Completed(job.run_path)
        if isinstance(outcome, Completed):
            self._store.jobs.all_sent(job.job_id, job.claim_id)
        return outcome

    def copy(self, job: ClaimedJob, control: TransferControl) -> Outcome:
        """Run the real attempt."""
        return super().run(job, control)


class FailingJobs(Jobs):
    """The table, behind a disk that refuses a while."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.claims_to_fail = 0
        self.results_to_fail = 0

    def claim(self, launch_id: int, now: datetime) -> ClaimedJob | None:
        if self.claims_to_fail:
            self.claims_to_fail -= 1
            raise StoreError("database is locked")
        return super().claim(launch_id, now)

    def finish_and_claim(
        self, job: ClaimedJob, decision: Decision, launch_id: int, now: datetime
    ) -> tuple[bool, ClaimedJob | None]:
        if self.results_to_fail:
            self.results_to_fail -= 1
            raise StoreError("disk I/O error")
        return super().finish_and_claim(job, decision, launch_id, now)


class Bench:
    """Database, settings, clock, attempts and pool, wired as the application does it; workers look only when woken."""

    def __init__(self, home: Path, workers: int = 1) -> None:
        state_dir = StateDir(home / "state")
        state_dir.create()
        config = home / "config.toml"
        folders = {name: home / name for name in ("nas", "other")}
        for folder in folders.values():
            folder.mkdir()
            (folder / ".exlab-destination").touch()
        lines = [f"[destinations.{name}]\ntarget = '{folder}'\n" for name, folder in folders.items()]
        config.write_text(
            f"[sync]\nworkers = {workers}\nstall_s = 60\nsettle_s = 0\n{''.join(lines)}", encoding="utf-8"
        )
        self.settings = SettingsFile(config)
        self.settings.read()
        self.clock = HandClock()
        self.database = Database(state_dir.database)
        migration.upgrade(self.database, Backups(state_dir), START)
        self.store = Store(self.database)
        self.jobs = self.store.jobs = FailingJobs(self.database)
        process = ThisProcess("lab-1", "boot-1", 1, to_text(START), "0")
        self.launch_id = self.store.launches.recover(process, START).launch_id
        self._only_woken = mock.patch("exlab_wizard.workers.pool.IDLE_POLL_INTERVAL_SECONDS", 86_400.0)
        self._only_woken.start()
        self.attempts = Scripted(self.store, self.settings)
        self.pool = WorkerPool(self.store, self.attempts, self.launch_id, self.clock, lambda: None)

    def enqueue(self, run_path: str, destination: str = "nas") -> int:
        return self.jobs.enqueue(NewJob(run_path, destination), self.clock.now()).job_id

    def state(self, job_id: int) -> str | None:
        state = self.jobs.state_of(job_id)
        return None if state is None else state.value

    def row(self, columns: str, job_id: int) -> tuple[Value, ...]:
        sql = f"SELECT {columns} FROM sync_jobs WHERE id = ?"
        row: tuple[Value, ...] = self.database.connection().execute(sql, (job_id,)).fetchone()
        return row

    def make_due(self, job_id: int) -> None:
        """Let a waiting job be tried now."""
        self.database.connection().execute("UPDATE sync_jobs SET not_before = NULL WHERE id = ?", (job_id,))
        self.pool.wake()

    def close(self) -> None:
        self.pool.force("the test is over", 2.0)
        self.pool.stop()
        self.store.close()
        self._only_woken.stop()

"""This program as a queue among queues, through its own code and nothing else.

The contract that every contestant fulfils: `open(path)` as a launch does, `enqueue(i)`, `claim()`, `complete(h)`,
`complete_claim(h)` (finish and take the next), `inflight()` (the drain predicate), `close()`, and the class methods
`seed(path, finished, running, pending)`, the one place with SQL of its own, and `recover(path)`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Final

from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.outcome import Decision
from exlab_wizard.paths import StateDir
from exlab_wizard.process.identity import SystemClock
from exlab_wizard.store.queue.claims import ClaimedJob
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.store.queue.launches import ThisProcess
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.store import Store
from exlab_wizard.store.upkeep import migration
from exlab_wizard.store.upkeep.backup import Backups

_clock: Final = SystemClock()
_TIME: Final = "2026-01-02T03:04:05.678Z"
_FILL: Final = """
WITH RECURSIVE n (i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i < :last)
INSERT INTO sync_jobs (id, run_path, destination, state, state_reason, enqueued_at, finished_at, claim_id, launch_id,
  attempts)
SELECT i, printf('/data/instrument-07/run-%08d/raw', i), 'nas', :state, 'seeded', :at,
  iif(:state = 'verified', :at, NULL), iif(:state = 'running', printf('%016x', i), NULL), 1, :state <> 'queued' FROM n
"""
# A finished job has three moves behind it, a running one has one.
_FILL_EVENTS: Final = """
WITH RECURSIVE n (i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i < :last)
INSERT INTO job_events (job_id, at, from_state, to_state, reason, launch_id)
SELECT i, :at, :before, :after, 'seeded', 1 FROM n
"""


class Ours:
    """Finishing is the one move from `running` that ends a job (`failed`), to compare with two-state queues."""

    name: ClassVar[str] = "exlab-wizard"
    kind: ClassVar = "ours"
    durability: ClassVar = "WAL+FULL"
    multi_process: ClassVar = True
    end: ClassVar = Decision(JobState.FAILED, "failed: unknown")

    def open(self, path: str | Path) -> Ours:
        """Do what a launch does before it works: check the schema, grow the WAL, recover."""
        state_dir = StateDir(Path(path))
        state_dir.create()
        database = Database(state_dir.database)
        migration.upgrade(database, Backups(state_dir), _clock.now())
        database.grow_wal()
        self.store = Store(database)
        process = ThisProcess("bench", "boot", os.getpid(), "now", "0")
        self.launch = self.store.launches.recover(process, _clock.now()).launch_id
        return self

    def close(self) -> None:
        """Close it; that checkpoints."""
        self.store.close()

    def enqueue(self, number: int) -> None:
        """Make job `number` durable."""
        self.store.jobs.enqueue(NewJob(f"/data/instrument-07/run-{number:08d}/raw", "nas"), _clock.now())

    def claim(self) -> ClaimedJob | None:
        """Take the next job."""
        return self.store.jobs.claim(self.launch, _clock.now())

    def complete(self, job: ClaimedJob) -> None:
        """Finish a job."""
        assert self.store.jobs.finish(job, self.end, _clock.now())

    def complete_claim(self, job: ClaimedJob) -> ClaimedJob | None:
        """Finish a job and take the next, as a worker does."""
        finished, following = self.store.jobs.finish_and_claim(job, self.end, self.launch, _clock.now())
        assert finished
        return following

    def inflight(self) -> int:
        """Ask the drain predicate."""
        count = self.store.drain.count(_clock.now())
        return count.active_sessions + count.in_flight_jobs

    def pragma(self) -> dict[str, str]:
        """Return the durability settings in force."""
        connection = self.store.database.connection()
        return {
            name: str(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("journal_mode", "synchronous")
        }

    @classmethod
    def seed(cls, path: str | Path, finished: int, running: int, pending: int) -> None:
        """Fill a database as a long life would: every job with the events of its moves."""
        queue = cls().open(path)
        last = 0
        with queue.store.database.transaction():
            connection = queue.store.database.connection()
            for count, state, moves in (
                (finished, "verified", (("queued", "running"), ("running", "verifying"), ("verifying", "verified"))),
                (running, "running", (("queued", "running"),)),
                (pending, "queued", ()),
            ):
                if not count:
                    continue
                ids = {"first": last + 1, "last": last + count, "at": _TIME}
                connection.execute(_FILL, ids | {"state": state})
                for before, after in moves:
                    connection.execute(_FILL_EVENTS, ids | {"before": before, "after": after})
                last += count
        queue.close()

    @classmethod
    def open_noresume(cls, path: str | Path) -> Ours:
        """Open without recovery, so that what was seeded as running still runs."""
        queue = cls()
        queue.store = Store(Database(StateDir(Path(path)).database))
        queue.store.database.grow_wal()
        queue.launch = 1
        return queue

    @classmethod
    def recover(cls, path: str | Path) -> Ours:
        """Open a database that a crash left behind."""
        return cls().open(path)


class OursWholeLife(Ours):
    """With the move that other queues do not have: all bytes sent, then read back and verified."""

    name = "exlab-wizard, with verifying"
    end = Decision(JobState.VERIFIED, "verified")

    def complete_claim(self, job: ClaimedJob) -> ClaimedJob | None:
        """Go through `verifying`, finish, and take the next."""
        assert self.store.jobs.all_sent(job.job_id, job.claim_id)
        return super().complete_claim(job)

    def complete(self, job: ClaimedJob) -> None:
        """Go through `verifying` and finish."""
        assert self.store.jobs.all_sent(job.job_id, job.claim_id)
        super().complete(job)

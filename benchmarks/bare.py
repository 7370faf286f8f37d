"""The reference: a queue written by hand on one SQLite table, WAL and FULL, one statement for each act.

It keeps no events, has no leases, no budgets and no rules; what it does is as durable as what the program does.
`Bare` uses Python's own `sqlite3`, `BareBundled` the driver that the program uses, which brings a newer SQLite.
`BareLogged` also keeps a log of moves, an administrator's timeline: one trigger, one table, one index.
"""

from __future__ import annotations

import importlib
import json
import sqlite3
import time
from pathlib import Path
from typing import ClassVar, Final

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS job (id INTEGER PRIMARY KEY, state INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL
  DEFAULT 0, payload TEXT NOT NULL, created REAL NOT NULL, started REAL, finished REAL);
CREATE INDEX IF NOT EXISTS job_ready ON job (id) WHERE state = 0;
CREATE INDEX IF NOT EXISTS job_running ON job (id) WHERE state = 1;
"""
LOG: Final = """
CREATE TABLE IF NOT EXISTS event (id INTEGER PRIMARY KEY, job INTEGER NOT NULL, at TEXT NOT NULL,
  before INTEGER NOT NULL, after INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS event_by_job ON event (job);
CREATE TRIGGER IF NOT EXISTS log_move AFTER UPDATE OF state ON job BEGIN
  INSERT INTO event (job, at, before, after)
  VALUES (NEW.id, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), OLD.state, NEW.state);
END;
"""
ENQUEUE: Final = "INSERT INTO job (payload, created) VALUES (?, ?)"
CLAIM: Final = (
    "UPDATE job SET state = 1, started = ?, attempts = attempts + 1"
    " WHERE id = (SELECT id FROM job WHERE state = 0 ORDER BY id LIMIT 1) RETURNING id"
)
FINISH: Final = "UPDATE job SET state = 2, finished = ? WHERE id = ? AND state = 1"
COUNT: Final = "SELECT count(*) FROM job WHERE state = 1"
REQUEUE: Final = "UPDATE job SET state = 0, started = NULL WHERE state = 1"
FILL: Final = (
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
    " INSERT INTO job (state, payload, created, started, finished)"
    ' SELECT ?, printf(\'{"run": "/data/instrument-07/run-%08d/raw", "destination": "nas"}\', i), 0.0, ?, ? FROM n'
)


class Bare:
    """Python's own `sqlite3`."""

    name: ClassVar = "bare"
    driver_name: ClassVar = "sqlite3"
    complete_claim: ClassVar = None
    schema: ClassVar = SCHEMA

    def open(self, path: str | Path) -> Bare:
        """Open or create the queue in the folder `path`."""
        Path(path).mkdir(parents=True, exist_ok=True)
        # Both drivers have the interface of the standard library's.
        driver = importlib.import_module(self.driver_name)
        self.connection: sqlite3.Connection = driver.connect(Path(path) / "q.db", isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = wal")
        self.connection.execute("PRAGMA synchronous = FULL")
        self.connection.executescript(self.schema)
        return self

    def close(self) -> None:
        """Close it; that checkpoints."""
        self.connection.close()

    def enqueue(self, number: int) -> None:
        """Make job `number` durable."""
        payload = {"run": f"/data/instrument-07/run-{number:08d}/raw", "destination": "nas"}
        self.connection.execute(ENQUEUE, (json.dumps(payload), time.time()))

    def claim(self) -> int | None:
        """Take the next job."""
        row = self.connection.execute(CLAIM, (time.time(),)).fetchall()
        return int(row[0][0]) if row else None

    def complete(self, job: int) -> None:
        """Finish a job."""
        self.connection.execute(FINISH, (time.time(), job))

    def inflight(self) -> int:
        """Count the running jobs."""
        return int(self.connection.execute(COUNT).fetchone()[0])

    @classmethod
    def seed(cls, path: str | Path, finished: int, running: int, pending: int) -> None:
        """Fill a queue with history."""
        queue = cls().open(path)
        queue.connection.execute("BEGIN")
        for count, state, started, ended in (
            (finished, 2, 1.0, 2.0),
            (running, 1, 1.0, None),
            (pending, 0, None, None),
        ):
            if count:
                queue.connection.execute(FILL, (count, state, started, ended))
        queue.connection.execute("COMMIT")
        queue.close()

    @classmethod
    def recover(cls, path: str | Path) -> Bare:
        """Open a queue that a crash left behind and queue what was running."""
        queue = cls().open(path)
        queue.connection.execute(REQUEUE)
        return queue


class BareBundled(Bare):
    """The driver that the program uses."""

    name = "bare, bundled SQLite"
    driver_name = "pysqlite3.dbapi2"


class BareLogged(BareBundled):
    """A bare queue that an administrator could ask what happened."""

    name = "bare, with a log"
    schema = SCHEMA + LOG

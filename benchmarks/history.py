"""How long the page's reads take with a million jobs: a page of the history, searches that find nothing, charts.

.venv/bin/python -m benchmarks.history      # BENCH_TMP=/some/disk says where, BENCH_JOBS how many
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from exlab_wizard.domain.job import JobState
from exlab_wizard.paths import StateDir
from exlab_wizard.store.reports.history import Search
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.store import Store
from exlab_wizard.store.upkeep import migration
from exlab_wizard.store.upkeep.backup import Backups

JOBS = int(os.environ.get("BENCH_JOBS", "1000000"))
NEWEST = datetime(2026, 11, 24, tzinfo=UTC)
APART_S = 30
"""Seconds between two runs: a million are a year of a busy laboratory, and 86,400 are in the last 30 days."""

_SESSIONS = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 2 FROM n WHERE i < :jobs)
INSERT INTO session_leases (id, kind, label, state, ttl_s, opened_at, renewed_at, expires_at, closed_at)
SELECT 'session-' || i, 'run', 'Sample ' || i, 'completed', 60, '', '', '', '' FROM n
"""
_JOBS = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :jobs)
INSERT INTO sync_jobs (id, run_path, destination, equipment_id, session_id, state, state_reason, attempts,
  enqueued_at, claimed_at, finished_at, verified_at, launch_id, files_total, files_done, bytes_total, bytes_done,
  bytes_verified)
SELECT i, printf('/data/instrument-%02d/2026/run-%08d/raw', i % 7, i), iif(i % 3, 'nas', 'old'), 'scope-' || (i % 7),
  iif(i % 2, 'session-' || i, NULL), iif(i % 100000 = 7, 'failed', 'verified'), 'read back and published', 1,
  at, at, at, at, 1, 12, 12, 700000000, 700000000, 700000000
FROM (SELECT i, strftime('%Y-%m-%dT%H:%M:%fZ', :newest, '-' || ((:jobs - i) * :apart) || ' seconds') AS at FROM n)
"""
_EVENTS = """
INSERT INTO job_events (job_id, at, from_state, to_state, reason, launch_id)
SELECT j.id, j.enqueued_at, m.a, m.b, 'seeded', 1 FROM sync_jobs j
JOIN (SELECT 'queued' AS a, 'running' AS b UNION ALL SELECT 'running', 'verifying'
  UNION ALL SELECT 'verifying', 'verified') m ORDER BY j.id
"""


def prepare(folder: Path) -> Store:
    """Return a store with `JOBS` finished jobs and their moves."""
    state_dir = StateDir(folder)
    state_dir.create()
    database = Database(state_dir.database)
    migration.upgrade(database, Backups(state_dir), NEWEST)
    connection = database.connection()
    connection.execute("BEGIN")
    connection.execute(
        "INSERT INTO launches (id, host, boot_id, pid, process_started_at, version, started_at)"
        " VALUES (1, 'bench', 'boot', 1, '', '', '')"
    )
    values = {"jobs": JOBS, "newest": NEWEST.isoformat(), "apart": APART_S}
    for sql in (_SESSIONS, _JOBS, _EVENTS):
        connection.execute(sql, values)
    connection.execute("COMMIT")
    return Store(database)


def told(name: str, act: Callable[[], object]) -> None:
    """Print the median and the longest of seven times that `act` took."""
    times = []
    for _ in range(7):
        began = time.perf_counter()
        act()
        times.append((time.perf_counter() - began) * 1_000)
    print(f"  {name:55s} median {statistics.median(times):7.1f} ms   longest {max(times):7.1f} ms")


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_TMP")) as folder:
        store = prepare(Path(folder))
        history, metrics = store.history, store.metrics
        print(f"{JOBS:,} jobs, {JOBS * 3:,} moves, {store.database.path.stat().st_size >> 20} MiB:")
        told("the first page", lambda: history.search(Search(), limit=50))
        told("a page in the middle", lambda: history.search(Search(), limit=50, before=JOBS // 2))
        told("a run of long ago, one stretch of the search", lambda: history.search(Search("run-00000042"), limit=50))
        told("a text that nothing has, one stretch", lambda: history.search(Search("no such run"), limit=50))
        told("an instrument that does not exist, one stretch", lambda: history.search(Search(equipment="x"), limit=50))
        told("all that failed, of the whole year", lambda: history.search(Search(state=JobState.FAILED), limit=50))
        since = NEWEST - timedelta(days=200)
        month = Search("7/raw", since=since, until=since + timedelta(days=30))
        told("a text in a month of long ago", lambda: history.search(month, limit=50))
        told("whether a run was ever queued", lambda: history.of_run("/data/instrument-01/2026/run-00000001/raw"))
        told("charts of 30 days", lambda: metrics.verified(NEWEST - timedelta(days=30), seconds=10))
        told("charts of 24 hours", lambda: metrics.verified(NEWEST - timedelta(days=1)))
        told("charts of a year, cut", lambda: metrics.verified(NEWEST - timedelta(days=360)))
        before, stretches, began = None, 0, time.perf_counter()
        while (found := history.search(Search("no such run"), limit=50, before=before)).cut:
            before, stretches = found.following, stretches + 1
        print(f"  a text that nothing has, to the end: {stretches + 1} stretches, {time.perf_counter() - began:.2f} s")
        store.close()


if __name__ == "__main__":
    main()

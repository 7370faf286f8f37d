"""A laboratory in its second month: hundreds of finished runs, a failed one, names that mean no good, and quits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from tests.support.program import Program, write_run

HOSTILE: Final = (
    "<script>alert(1)<",  # a name cannot hold the slash of the closing tag
    '"><img src=x onerror=alert(1)>',
    "\u202egnp.exe",
    "two\nlines",
    "caf\udce9",
    "x" * 255,
)
FAILED: Final = "2026-11-23_tomo-018"
_MONTH: Final = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
INSERT INTO sync_jobs (id, run_path, destination, equipment_id, state, state_reason, attempts, enqueued_at, claimed_at,
  finished_at, verified_at, launch_id, files_total, files_done, bytes_total, bytes_done, bytes_verified, verify_passes)
SELECT i, printf('/data/%s/%s_%s-%03d', iif(i % 3, 'scope-2', 'tof-1'), date(at), iif(i % 3, 'scan', 'spectrum'), i),
  iif(i % 7, 'nas', 'archive'), iif(i % 3, 'scope-2', 'tof-1'), 'verified', 'read back and published', 1, at, at, at,
  at, 1, 12, 12, size, size, size, 1
FROM (SELECT i, 200000000 + (i * 7919 % 97) * 90000000 AS size, strftime('%Y-%m-%dT%H:%M:%fZ', 'now',
  '-' || ((400 - i) * 108 + i * 7919 % 83) || ' minutes') AS at FROM n)
"""
_MOVES: Final = """
INSERT INTO job_events (job_id, at, from_state, to_state, reason, launch_id)
SELECT j.id, j.enqueued_at, m.a, m.b, m.r, 1 FROM sync_jobs j JOIN
(SELECT 'queued' AS a, 'running' AS b, 'claimed' AS r UNION ALL SELECT 'running', 'verifying', 'all bytes sent'
  UNION ALL SELECT 'verifying', 'verified', 'read back and published') m ORDER BY j.id
"""
_QUITS: Final = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 14)
INSERT INTO launches (host, boot_id, pid, process_started_at, version, started_at, draining_since, ended_at, end_reason)
SELECT 'lab-pc', 'boot', 1, '', '0.2.0', strftime('%Y-%m-%dT%H:%M:%fZ', at, '-9 hours'), at,
  strftime('%Y-%m-%dT%H:%M:%fZ', at, '+' || (0.4 + i * 31 % 13 * 2.3) || ' seconds'), iif(i % 6, 'drained', 'forced')
FROM (SELECT i, strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || (15 - i) || ' days') AS at FROM n)
"""


def instrument(program: Program, *names: str) -> Path:
    """Return the configured root, with a small run of each name in its folder `scope-2`."""
    root = program.home / "instrument"
    for number, name in enumerate(names):
        write_run(root / "scope-2" / name, {"detector.raw": 300_000, "frames/1.tif": 70_000}, number)
    root.mkdir(exist_ok=True)
    program.configure(more=f"[server]\nroots = [{json.dumps(str(root))}]\n")
    return root


def a_month(program: Program) -> None:
    """Start the program once to make its database, and fill in what such a laboratory has behind it."""
    program.start()
    program.process.terminate()
    program.wait()
    for statement in (_MONTH, _MOVES, _QUITS):
        program.query(statement)


def failed_run(program: Program, root: Path) -> int:
    """Queue a run that another one stands in the way of, and return its job."""
    run = write_run(root / "scope-2" / FAILED, {"detector.raw": 50_000}, 5)
    write_run(program.nas / "scope-2" / FAILED, {"detector.raw": 10}, 6)
    status, job = program.api("POST", "/jobs", {"run_path": str(run), "destination": "nas", "equipment_id": "scope-2"})
    assert isinstance(job, dict), (status, job)
    number = job["id"]
    assert isinstance(number, int)
    return number

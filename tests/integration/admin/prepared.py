"""A database with a week of a lab's life in it, the same in every test: what the pages of the docs are asked on.

Its clock stands: `'now'` in views and triggers is the fixed moment `NOW`, and `at_now` does the same to typed SQL.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import given

from exlab_wizard.paths import StateDir
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.sqlite.driver import driver
from exlab_wizard.store.sqlite.values import Value
from exlab_wizard.store.upkeep.invariants import InvariantResult, check

NOW = "2026-03-02T12:00:00.000Z"
MIB = 1 << 20
GIB = 1 << 30
LAUNCHES: tuple[tuple[int, str, str | None, str | None, int], ...] = (
    (1, "2026-02-20T08:00:00.000Z", "2026-02-27T18:00:02.400Z", "drained", 0),
    (2, "2026-02-27T18:30:00.000Z", "2026-02-28T09:00:00.000Z", "crashed", 0),
    (3, "2026-02-28T09:00:00.000Z", "2026-03-01T20:00:31.000Z", "forced", 1),
    (4, "2026-03-02T07:30:00.000Z", None, None, 1),
)
QUITS: tuple[tuple[Value, ...], ...] = (
    (1, 1, "2026-02-27T18:00:00.000Z", "cli", 30.0, 0, 0, 0, 1, "drained", "2026-02-27T18:00:02.400Z"),
    (2, 3, "2026-03-01T19:10:00.000Z", "tray", 30.0, 1, 0, 1, 1, "kept_running", "2026-03-01T19:11:12.000Z"),
    (3, 3, "2026-03-01T20:00:00.000Z", "tray", 30.0, 1, 0, 0, 1, "forced", "2026-03-01T20:00:31.000Z"),
)
SESSIONS: tuple[tuple[str, str, str, str | None, str, str, str | None], ...] = (
    ("5f0c", "run", "overnight scan", "mia", "completed", "2026-02-27T16:00:00.000Z", "2026-02-27T17:55:00.000Z"),
    ("8a31", "run", "frames", None, "expired", "2026-03-01T18:40:00.000Z", "2026-03-01T19:15:00.000Z"),
    ("c2d9", "run", "run-005", "jon", "active", "2026-03-02T11:20:00.000Z", None),
)
Move = tuple[str, str, str, int | None]
"""When, to which state, why, under which launch."""


@dataclass(frozen=True)
class Job:
    """One row with its files and its way through the states; what is left out has its default."""

    path: str
    equipment: str | None
    enqueued_at: str
    moves: Sequence[Move] = ()
    destination: str = "nas"
    files: Sequence[int] = (2 * GIB, 300 * MIB)
    done: int | None = None
    error: tuple[str, str] | None = None
    more: dict[str, Value] = field(default_factory=dict)


def claimed(at: str, launch: int) -> Move:
    return at, "running", "claimed", launch


def arrived(at: str, launch: int) -> tuple[Move, Move]:
    return (at, "verifying", "all bytes are sent", launch), (at, "verified", "read back and published", launch)


OFFLINE = "waits: destination_offline"
JOBS = (
    Job("/data/confocal/run-001", "confocal", "2025-11-10T09:00:00.000Z",
        (claimed("2025-11-10T09:00:01.000Z", 1), *arrived("2025-11-10T09:03:00.000Z", 1))),
    Job("/data/confocal/run-002", "confocal", "2026-02-25T10:00:00.000Z",
        (claimed("2026-02-25T10:00:01.000Z", 1), ("2026-02-25T10:01:00.000Z", "queued", "tried again: network", 1),
         claimed("2026-02-25T10:02:00.000Z", 1), ("2026-02-25T10:03:00.000Z", "queued", "tried again: network", 1),
         claimed("2026-02-25T10:05:00.000Z", 1), *arrived("2026-02-25T10:15:30.000Z", 1)), more={"attempts": 3}),
    Job("/data/confocal/run-003", "confocal", "2026-02-27T17:55:00.000Z",
        (claimed("2026-02-27T17:55:00.500Z", 1), *arrived("2026-02-27T18:00:02.000Z", 1)),
        files=(9 * GIB, 40 * MIB), more={"session_id": "5f0c"}),
    Job("/data/ms/27-a", "ms", "2026-02-27T19:00:00.000Z",
        (claimed("2026-02-27T19:00:01.000Z", 2), ("2026-02-27T19:00:02.000Z", "failed", "failed: auth", 2)),
        done=0, error=("auth", "Cannot create '/mnt/nas/ms': Permission denied. Make the folder '/mnt/nas' writable.")),
    Job("/data/ms/28-b", "ms", "2026-02-28T10:00:00.000Z",
        (claimed("2026-03-01T09:00:00.000Z", 3), ("2026-03-01T09:02:00.000Z", "failed", "failed: conflict", 3)),
        done=2 * GIB,
        error=("conflict", "Refusing to replace '/mnt/nas/ms/28-b'. Move it away, or rename the run; then retry it.")),
    Job("/data/confocal/run-004", "confocal", "2026-03-01T18:30:00.000Z",
        (claimed("2026-03-01T19:50:00.000Z", 3), ("2026-03-01T20:00:31.000Z", "resumable", "forced", 3),
         ("2026-03-02T07:30:00.000Z", "queued", "forced", 4), claimed("2026-03-02T11:48:00.000Z", 4)),
        files=(40 * GIB,), done=25 * GIB,
        more={"claim_id": "claim-6", "interruptions": 1, "bytes_resumed": 10 * GIB, "bytes_verified": 20 * GIB}),
    Job("/data/ms/01-c", "ms", "2026-03-01T21:00:00.000Z",
        (claimed("2026-03-02T07:31:00.000Z", 4), ("2026-03-02T07:31:01.000Z", "queued", OFFLINE, 4)),
        destination="tape", done=0, more={"attempts": 0, "waiting_on": "destination_offline"}),
    Job("/data/confocal/run-003", "confocal", "2026-02-27T17:55:00.000Z",
        (claimed("2026-02-28T09:00:02.000Z", 3), ("2026-02-28T09:00:03.000Z", "queued", OFFLINE, 3)),
        destination="tape", files=(9 * GIB, 40 * MIB), done=0,
        more={"attempts": 0, "waiting_on": "destination_offline"}),
    Job("/data/ms/02-d", "ms", "2026-03-02T09:00:00.000Z",
        (claimed("2026-03-02T11:57:30.000Z", 4), ("2026-03-02T11:58:00.000Z", "queued", "tried again: network", 4)),
        done=500 * MIB,
        error=("network", "Cannot write '/mnt/nas/ms/02-d': Input/output error. Check the network and the NAS."),
        more={"attempts": 1, "not_before": "2026-03-02T12:08:00.000Z"}),
    Job("/data/ms/02-e", "ms", "2026-03-02T11:30:00.000Z", done=0, more={"priority": 5}),
    Job("/data/xray/frames-17", "xray", "2026-02-28T08:00:00.000Z",
        (claimed("2026-02-28T08:00:01.000Z", 2), ("2026-02-28T09:00:00.000Z", "resumable", "crashed", 2),
         ("2026-02-28T09:00:00.000Z", "queued", "crashed", 3)),
        files=(600 * MIB,), done=100 * MIB, more={"attempts": 0, "crashes": 1}),
    Job("/data/xray/test", "xray", "2026-02-26T14:00:00.000Z",
        (("2026-02-26T14:05:00.000Z", "cancelled", "changed with SQL", None),), files=(), done=0),
)  # fmt: skip


def at_now(sql: str) -> str:
    """Return `sql` with its clock standing at `NOW`."""
    return sql.replace("'now'", f"'{NOW}'")


def prepare(folder: Path) -> tuple[Path, list[InvariantResult]]:
    """Make the database in `folder`; return its file, and what `db check` found before its clock was stopped."""
    place = StateDir(folder)
    given.migrate(place)
    with closing(driver.connect(place.database, isolation_level=None)) as connection:
        _fill(connection)
    with closing(Database(place.database)) as database:
        findings = check(database)
    with closing(driver.connect(place.database, isolation_level=None)) as connection:
        _stop_clock(connection)
    return place.database, findings


def _fill(connection: driver.Connection) -> None:
    connection.execute("UPDATE installation SET id = '00112233aabbccdd', created_at = '2025-11-01T08:00:00.000Z'")
    for number, started, ended, reason, resumed in LAUNCHES:
        _insert(connection, "launches", {
            "id": number, "host": "lab-pc", "boot_id": f"boot-{number}", "pid": 4_000 + number, "version": "0.1.0",
            "process_started_at": started, "started_at": started, "healthy_at": f"{started[:17]}05.000Z",
            "jobs_resumed": resumed, "ended_at": ended, "end_reason": reason,
        })  # fmt: skip
    for quit_row in QUITS:
        names = ("id", "launch_id", "requested_at", "trigger", "window_s", "prompts", "waits", "blocking_sessions",
                 "blocking_jobs", "outcome", "decided_at")  # fmt: skip
        _insert(connection, "quit_requests", dict(zip(names, quit_row, strict=True)))
    for session, kind, label, operator, state, opened, closed in SESSIONS:
        _insert(connection, "session_leases", {
            "id": session, "kind": kind, "label": label, "operator": operator, "state": state, "ttl_s": 60.0,
            "opened_at": opened, "renewed_at": closed or "2026-03-02T11:59:40.000Z",
            "expires_at": closed or "2026-03-02T12:00:40.000Z", "closed_at": closed,
        })  # fmt: skip
    event = itertools.count(1)
    log: list[dict[str, Value]] = []
    for number, job in enumerate(JOBS, 1):
        _insert(connection, "sync_jobs", _row(number, job))
        whole = _row(number, job)["state"] == "verified"
        for part, size in enumerate(job.files):
            _insert(connection, "sync_files", {
                "job_id": number, "path": f"frames/{part}.tif", "size": size, "mtime_ns": 1_771_000_000_000_000_000,
                "state": "verified" if whole else "pending", "bytes_done": size * whole,
                "sha256": "5e" * 32 if whole else None,
            })  # fmt: skip
        states = ["queued", *(move[1] for move in job.moves)]
        for source, (at, target, reason, launch) in zip(states, job.moves, strict=False):
            failed = target in ("failed", "queued") and reason.startswith(("failed", "tried"))
            log.append({
                "job_id": number, "at": at, "from_state": source, "to_state": target, "reason": reason,
                "launch_id": launch, "detail": job.error[1] if failed and job.error else None,
            })  # fmt: skip
    for entry in sorted(log, key=_moment):
        _insert(connection, "job_events", {"id": next(event), **entry})


def _moment(row: dict[str, Value]) -> str:
    return str(row["at"])


def _row(number: int, job: Job) -> dict[str, Value]:
    at, state, reason, launch = job.moves[-1] if job.moves else (None, "queued", None, None)
    claims = [move for move in job.moves if move[1] == "running"]
    total = sum(job.files)
    done = total if job.done is None else job.done
    row: dict[str, Value] = {
        "id": number, "run_path": job.path, "destination": job.destination, "equipment_id": job.equipment,
        "state": state, "state_reason": reason, "enqueued_at": job.enqueued_at, "launch_id": launch,
        "claimed_at": claims[-1][0] if claims else None, "files_total": len(job.files), "bytes_total": total,
        "bytes_done": done, "files_done": len(job.files) * (done == total), "attempts": min(1, len(claims)),
        "error_kind": job.error[0] if job.error else None, "error_detail": job.error[1] if job.error else None,
        "finished_at": at if state in ("verified", "failed", "cancelled") else None,
    }  # fmt: skip
    if state == "verified":
        row |= {"verified_at": at, "verify_passes": 1, "bytes_verified": total}
    return row | job.more


def _insert(connection: driver.Connection, table: str, row: dict[str, Value]) -> None:
    places = ", ".join("?" for _ in row)
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", list(row.values()))


def _stop_clock(connection: driver.Connection) -> None:
    held = "SELECT type, name, sql FROM sqlite_master WHERE type IN ('view', 'trigger') AND sql LIKE '%''now''%'"
    for kind, name, sql in connection.execute(held).fetchall():
        connection.execute(f"DROP {kind} {name}")
        connection.execute(at_now(sql))

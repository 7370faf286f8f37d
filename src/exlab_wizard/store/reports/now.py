"""What moves, waits and has just arrived: what people look at first.

Each question costs what is pending or new, never history, and is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from exlab_wizard.store.reports.rows import Record, records
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import whole

MOST_ROWS: Final = 50
_RECENT_EVENTS: Final = 200
_SAMPLE: Final = 20

_JOB: Final = (
    "j.id, j.run_path, j.destination, j.equipment_id, j.state, j.state_reason, j.not_before, j.waiting_on,"
    " j.error_kind, j.error_detail, j.claimed_at, j.enqueued_at, j.files_total, j.files_done, j.bytes_total,"
    " j.bytes_done, j.bytes_verified, j.bytes_resumed"
)
IN_FLIGHT: Final = Statement(
    sa.text(
        f"SELECT {_JOB} FROM sync_jobs j WHERE j.state = 'running' OR j.state = 'verifying'"
        f" ORDER BY j.claimed_at, j.id LIMIT {MOST_ROWS}"
    )
)
DUE: Final = Statement(
    sa.text(
        f"SELECT {_JOB} FROM sync_jobs j WHERE j.state = 'queued' AND j.not_before IS NULL"
        f" ORDER BY j.priority DESC, j.id LIMIT {MOST_ROWS}"
    )
)
RETRIED: Final = Statement(
    sa.text(
        f"SELECT {_JOB} FROM sync_jobs j WHERE j.state = 'queued' AND j.not_before IS NOT NULL AND j.waiting_on IS NULL"
        f" ORDER BY j.not_before LIMIT {MOST_ROWS}"
    )
)
# Since when: the oldest of the last returns to the queue, among the first of those that wait. The others of the same
# destination were never tried, and have none.
WAITING: Final = Statement(
    sa.text(
        "SELECT w.destination, w.waiting_on, w.jobs, coalesce((SELECT min(at) FROM (SELECT max(e.at) AS at FROM"
        " (SELECT id FROM sync_jobs s WHERE s.state = 'queued' AND s.waiting_on IS NOT NULL"
        f" AND s.destination = w.destination AND s.waiting_on = w.waiting_on LIMIT {_SAMPLE}) first"
        " CROSS JOIN job_events e ON e.job_id = first.id WHERE e.to_state = 'queued' GROUP BY e.job_id)),"
        " w.enqueued_at) AS since, w.run_path, w.next_look FROM"
        " (SELECT destination, waiting_on, count(*) AS jobs, min(enqueued_at) AS enqueued_at, run_path,"
        " min(not_before) AS next_look FROM sync_jobs WHERE state = 'queued' AND waiting_on IS NOT NULL"
        f" GROUP BY destination, waiting_on LIMIT {MOST_ROWS}) w"
    )
)
COUNTS: Final = Statement(
    sa.text(
        "SELECT (SELECT count(*) FROM sync_jobs WHERE state = 'queued' AND not_before IS NULL)"
        " + (SELECT count(*) FROM sync_jobs WHERE state = 'queued' AND not_before IS NOT NULL) AS queued,"
        " (SELECT count(*) FROM sync_jobs WHERE state = 'failed') AS failed,"
        " (SELECT count(*) FROM sync_jobs WHERE state = 'resumable') AS resumable"
    )
)
SESSIONS: Final = Statement(
    sa.text(
        "SELECT id, kind, label, operator, equipment_id, opened_at, expires_at FROM session_leases"
        f" WHERE state = 'active' ORDER BY opened_at, id LIMIT {MOST_ROWS}"
    )
)
ARRIVED: Final = Statement(
    sa.text(
        f"SELECT {_JOB}, e.at AS arrived_at FROM"
        f" (SELECT id, job_id, at, to_state FROM job_events ORDER BY id DESC LIMIT {_RECENT_EVENTS}) e"
        " CROSS JOIN sync_jobs j ON j.id = e.job_id WHERE e.to_state = 'verified' ORDER BY e.id DESC LIMIT 5"
    )
)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many jobs wait in the queue, wait for an operator, and go on at the next launch."""

    queued: int
    failed: int
    resumable: int


class Current:
    """Reads for whoever looks now; rows as in the database, at most 50 of a kind."""

    def __init__(self, database: Database) -> None:
        """Work on `database`."""
        self._db = database

    def in_flight(self) -> list[Record]:
        """Return the jobs that are being sent or read back, the first claimed first."""
        return records(self._db, IN_FLIGHT, {})

    def due(self) -> list[Record]:
        """Return the jobs that wait for a worker only, in the order in which they are taken."""
        return records(self._db, DUE, {})

    def retried(self) -> list[Record]:
        """Return the jobs that failed and are tried again by themselves, the next first."""
        return records(self._db, RETRIED, {})

    def waiting(self) -> list[Record]:
        """Return `destination, waiting_on, jobs, since, run_path, next_look` for each thing that jobs wait for.

        `since` is when it was noticed, `run_path` one of the runs, `next_look` when it is looked for again.
        """
        return records(self._db, WAITING, {})

    def counts(self) -> Counts:
        """Return how much is not done."""
        (row,) = records(self._db, COUNTS, {})
        return Counts(whole(row["queued"]), whole(row["failed"]), whole(row["resumable"]))

    def sessions(self) -> list[Record]:
        """Return the active sessions, the oldest first."""
        return records(self._db, SESSIONS, {})

    def arrived(self) -> list[Record]:
        """Return the jobs that were verified last, if that is not long ago; `arrived_at` is when."""
        return records(self._db, ARRIVED, {})

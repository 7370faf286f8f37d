"""What an operator should hear of without looking: jobs that failed for good, and destinations that jobs wait for.

Each question costs what is new, waiting or in flight, never history.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from exlab_wizard.domain.job import WaitReason
from exlab_wizard.store.reports.rows import records
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import Value, whole
from exlab_wizard.store.tables import IS_IN_FLIGHT, IS_WAITING, sync_jobs

_b = sa.bindparam
_job = sync_jobs.c

LAST_MOVE: Final = Statement(sa.text("SELECT coalesce(max(id), 0) FROM job_events"))
# CROSS JOIN keeps SQLite from beginning with all failed jobs there are.
FAILURES: Final = Statement(
    sa.text(
        "SELECT e.id, e.job_id, j.run_path, j.destination, j.error_kind, j.error_detail"
        " FROM job_events e CROSS JOIN sync_jobs j ON j.id = e.job_id"
        " WHERE e.id > :after AND e.id <= :upto AND e.to_state = 'failed' AND j.state = 'failed'"
        " ORDER BY e.id LIMIT :limit"
    )
)
HELD_UP: Final = Statement(
    sa.select(_job.destination, _job.waiting_on, sa.func.count())
    .where(
        IS_WAITING,
        _job.waiting_on.in_([sa.literal_column(f"'{w}'") for w in ("destination_offline", "destination_full")]),
    )
    .group_by(_job.destination, _job.waiting_on)
)
SENDING: Final = Statement(
    sa.select(_job.id, _job.bytes_done).where(IS_IN_FLIGHT, _job.destination == _b("destination"))
)
ARRIVED: Final = Statement(
    sa.text(
        "SELECT 1 FROM job_events e CROSS JOIN sync_jobs j ON j.id = e.job_id"
        " WHERE e.id > :after AND e.to_state = 'verifying' AND j.destination = :destination LIMIT 1"
    )
)
_FAILURES_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Failure:
    """A job that failed for good; `detail` says what went wrong and what to do."""

    job_id: int
    run_path: str
    destination: str
    kind: str
    detail: str


class Alerts:
    """Reads for notifications."""

    def __init__(self, database: Database) -> None:
        """Work on `database`."""
        self._db = database

    def last_move(self) -> int:
        """Return the id of the newest move of a job; 0 where there is none."""
        return whole(self._db.read(LAST_MOVE)[0][0])

    def failures(self, after: int) -> tuple[list[Failure], int]:
        """Return jobs that failed after the move with id `after` and are failed still, and the move to go on from."""
        upto = self.last_move()
        if upto <= after:  # also when somebody put back a backup: its moves are no news
            return [], upto
        found = records(self._db, FAILURES, {"after": after, "upto": upto, "limit": _FAILURES_AT_ONCE})
        failures = [
            Failure(
                whole(row["job_id"]),
                str(row["run_path"]),
                str(row["destination"]),
                str(row["error_kind"] or "unknown"),
                str(row["error_detail"] or ""),
            )
            for row in found
        ]
        return failures, whole(found[-1]["id"]) if len(found) == _FAILURES_AT_ONCE else upto

    def held_up(self) -> dict[tuple[str, WaitReason], int]:
        """Return how many jobs wait for a destination that is offline or full."""
        return {
            (str(destination), WaitReason(str(reason))): whole(jobs)
            for destination, reason, jobs in self._db.read(HELD_UP)
        }

    def sending(self, destination: str) -> dict[int, int]:
        """Return how many bytes each job in flight to `destination` has sent."""
        rows = self._db.read(SENDING, {"destination": destination})
        return {whole(job): whole(sent) for job, sent in rows}

    def arrived(self, destination: str, after: int) -> bool:
        """Return whether all bytes of some run have reached `destination` since the move with id `after`."""
        params: dict[str, Value] = {"destination": destination, "after": after}
        return bool(self._db.read(ARRIVED, params))

"""How a launch stands, in one statement: counts, and the sums of what is in flight. One snapshot.

It is asked for once a second while something happens, so it costs what is pending, never history.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from exlab_wizard.domain.clock import to_text
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import Value, whole

# Each count names the predicate of a partial index, in the index's own words.
GLANCE: Final = Statement(
    sa.text(
        "SELECT (SELECT count(*) FROM session_leases WHERE state = 'active' AND expires_at > :now),"
        " count(*), sum(bytes_done + bytes_verified), sum(2 * bytes_total),"
        " (SELECT max(eta_s) FROM drain_blockers WHERE kind = 'job'),"
        " (SELECT count(*) FROM sync_jobs WHERE state = 'queued' AND not_before IS NULL)"
        " + (SELECT count(*) FROM sync_jobs WHERE state = 'queued' AND not_before IS NOT NULL),"
        " (SELECT count(*) FROM sync_jobs WHERE state = 'failed'),"
        " (SELECT paused_since IS NOT NULL FROM launches WHERE id = :launch)"
        " FROM sync_jobs WHERE state = 'running' OR state = 'verifying'"
    )
)


@dataclass(frozen=True, slots=True)
class Glance:
    """Counts of jobs and active leases; bytes moved of all bytes to be sent and read back; seconds left or None."""

    sessions: int
    in_flight: int
    moved: int
    total: int
    left_s: float | None
    queued: int
    failed: int
    paused: bool


class Glances:
    """Reads for whoever shows one line."""

    def __init__(self, database: Database) -> None:
        """Work on `database`."""
        self._db = database

    def look(self, launch_id: int, now: datetime) -> Glance:
        """Return how `launch_id` stands.

        Raises:
            StoreError: the database cannot be read.
        """
        row = self._db.read(GLANCE, {"launch": launch_id, "now": to_text(now)})[0]
        sessions, in_flight, moved, total, left, queued, failed, paused = row
        counts = (whole(sessions), whole(in_flight), whole(moved or 0), whole(total or 0))
        return Glance(*counts, _seconds(left), whole(queued), whole(failed), bool(paused))


def _seconds(value: Value) -> float | None:
    assert value is None or isinstance(value, int | float)
    return None if value is None else float(value)

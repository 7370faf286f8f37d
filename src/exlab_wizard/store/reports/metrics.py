"""What is measured for monitoring, at a cost that follows from what is pending and what is new, never from history.

Of history only what came since the last look is read: `Progress` holds where that was.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from exlab_wizard.domain.clock import from_text
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import Value, whole

NEWEST: Final = Statement(sa.text("SELECT coalesce(max(id), 0) FROM job_events"))
UNFINISHED: Final = Statement(
    sa.text(
        "SELECT state, destination, count(*), sum(max(bytes_total - bytes_done, 0)), min(enqueued_at)"
        " FROM sync_jobs WHERE finished_at IS NULL GROUP BY state, destination"
    )
)
FAILED: Final = Statement(
    sa.text("SELECT destination, count(*) FROM sync_jobs WHERE state = 'failed' GROUP BY destination")
)
MOVES: Final = Statement(
    sa.text(
        "SELECT e.to_state, count(*), coalesce(sum(CASE WHEN e.to_state = 'verified' THEN j.bytes_total END), 0),"
        " coalesce(sum(CASE WHEN e.to_state = 'verified' THEN j.bytes_resumed END), 0)"
        " FROM job_events e JOIN sync_jobs j ON j.id = e.job_id"
        " WHERE e.id > :after AND e.id <= :newest GROUP BY e.to_state"
    )
)
DRAINS: Final = Statement(
    sa.text(
        "SELECT outcome, count(*), sum((julianday(decided_at) - julianday(requested_at)) * 86400.0)"
        " FROM quit_requests WHERE outcome IS NOT NULL GROUP BY outcome"
    )
)
ENDS: Final = Statement(
    sa.text("SELECT end_reason, count(*) FROM launches WHERE end_reason IS NOT NULL GROUP BY end_reason")
)
LEASES: Final = Statement(sa.text("SELECT kind, count(*) FROM session_leases WHERE state = 'active' GROUP BY kind"))


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Jobs in one state for one destination: how many, bytes that are not there yet, when the first was queued."""

    state: str
    destination: str
    jobs: int
    bytes_left: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """Quits with one outcome: how many, and the seconds from asking to the decision, all together."""

    quits: int
    seconds: float


@dataclass(slots=True)
class Progress:
    """What jobs have done since `event`, the newest one that was counted."""

    event: int
    moves: dict[str, int] = field(default_factory=dict)
    verified_bytes: int = 0
    resumed_bytes: int = 0


class Measures:
    """Reads for the metrics."""

    def __init__(self, database: Database) -> None:
        """Work on `database`."""
        self._db = database

    def begin(self) -> Progress:
        """Return that nothing has happened yet."""
        return Progress(self._newest())

    def count(self, progress: Progress) -> None:
        """Add to `progress` what came since. One caller at a time."""
        newest = self._newest()
        rows = self._db.read(MOVES, {"after": progress.event, "newest": newest})
        for state, moves, verified, resumed in rows:
            progress.moves[str(state)] = progress.moves.get(str(state), 0) + whole(moves)
            progress.verified_bytes += whole(verified)
            progress.resumed_bytes += whole(resumed)
        progress.event = newest

    def unfinished(self) -> list[Unfinished]:
        """Return what is pending."""
        return [
            Unfinished(str(state), str(destination), whole(jobs), whole(left), from_text(str(oldest)))
            for state, destination, jobs, left, oldest in self._db.read(UNFINISHED)
        ]

    def failed(self) -> dict[str, int]:
        """Return how many jobs wait for an operator, by destination."""
        return {str(destination): whole(jobs) for destination, jobs in self._db.read(FAILED)}

    def drains(self) -> dict[str, Ended]:
        """Return all quits there ever were, by outcome; a few a day."""
        return {str(outcome): Ended(whole(count), _real(seconds)) for outcome, count, seconds in self._db.read(DRAINS)}

    def ends(self) -> dict[str, int]:
        """Return how the launches before this one ended; a few a day."""
        return {str(reason): whole(count) for reason, count in self._db.read(ENDS)}

    def leases(self) -> dict[str, int]:
        """Return the active sessions by kind."""
        return {str(kind): whole(count) for kind, count in self._db.read(LEASES)}

    def _newest(self) -> int:
        return whole(self._db.read(NEWEST)[0][0])


def _real(value: Value) -> float:
    assert value is None or isinstance(value, int | float)
    return 0.0 if value is None else float(value)

"""Metrics for monitoring and for charts: jobs, moves, quits and launches counted, bytes verified over time.

For monitoring the cost follows from what is pending and what is new: of history only what came since the last read is
read, and `EventCounts` holds where that was. For charts the end of `job_events` is read backwards, up to the wanted
moment: moves are written in the order of their time and never changed, so the cost is that of the last days.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from exlab_wizard.domain.clock import to_text
from exlab_wizard.domain.views import Pending
from exlab_wizard.store import figures
from exlab_wizard.store.queue.drain import IS_LEASED
from exlab_wizard.store.reports.events import EventsReport
from exlab_wizard.store.reports.history import FIRST_STRETCH, LONGEST_STRETCH
from exlab_wizard.store.reports.rows import MAX_ID
from exlab_wizard.store.sqlite.database import Queries
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import Value, real, whole
from exlab_wizard.store.tables import launches, session_leases

READ_SECONDS: Final = 0.4
_LAUNCHES_READ: Final = 2_000


def _counted(column: sa.Column[str], *conditions: sa.ColumnElement[bool]) -> Statement:
    return Statement(sa.select(column, sa.func.count()).where(*conditions).group_by(column))


LAUNCH_ENDS: Final = _counted(launches.c.end_reason, launches.c.end_reason.is_not(None))
ACTIVE_SESSIONS: Final = _counted(session_leases.c.kind, IS_LEASED)
MOVES: Final = Statement(
    sa.text(
        "SELECT e.to_state, count(*), coalesce(sum(CASE WHEN e.to_state = 'verified' THEN j.bytes_total END), 0),"
        " coalesce(sum(CASE WHEN e.to_state = 'verified' THEN j.bytes_resumed END), 0)"
        " FROM job_events e JOIN sync_jobs j ON j.id = e.job_id"
        " WHERE e.id > :after AND e.id <= :newest GROUP BY e.to_state"
    )
)
QUITS: Final = Statement(
    sa.text(
        "SELECT outcome, count(*), sum((julianday(decided_at) - julianday(requested_at)) * 86400.0)"
        " FROM quit_requests WHERE outcome IS NOT NULL GROUP BY outcome"
    )
)
# A quarter of an hour is part of an hour, and of a day, in every time zone.
VERIFIED: Final = Statement(
    sa.text(
        "SELECT substr(e.at, 1, 14) || CASE WHEN substr(e.at, 15, 2) < '15' THEN '00' WHEN substr(e.at, 15, 2) < '30'"
        " THEN '15' WHEN substr(e.at, 15, 2) < '45' THEN '30' ELSE '45' END AS quarter, sum(j.bytes_total), count(*)"
        " FROM job_events e NOT INDEXED JOIN sync_jobs j ON j.id = e.job_id"
        " WHERE e.id < :before AND e.id >= :floor AND e.to_state = 'verified' AND e.at >= :since GROUP BY quarter"
    )
)
MOVE_BELOW: Final = Statement(sa.text("SELECT id, at FROM job_events WHERE id < :id ORDER BY id DESC LIMIT 1"))
DRAIN_DURATIONS: Final = Statement(
    sa.text(
        "SELECT draining_since, end_reason,"
        " max(0, round((julianday(ended_at) - julianday(draining_since)) * 86400.0, 3)) AS took_s"
        f" FROM (SELECT * FROM launches ORDER BY id DESC LIMIT {_LAUNCHES_READ})"
        " WHERE draining_since IS NOT NULL AND end_reason IN ('drained', 'forced') ORDER BY id DESC LIMIT :limit"
    )
)


@dataclass(frozen=True, slots=True)
class Unfinished(Pending):
    """Those for one destination, and when the first was queued."""

    state: str
    destination: str
    oldest: datetime


@dataclass(frozen=True, slots=True)
class QuitTotals:
    """Quits with one outcome: how many, and the seconds from the request to the decision, all together."""

    quits: int
    seconds: float


@dataclass(slots=True)
class EventCounts:
    """What jobs have done between the launch and `event`, the newest one that was counted."""

    event: int
    moves: dict[str, int] = field(default_factory=dict)
    verified_bytes: int = 0
    resumed_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Quarter:
    """What was verified in a quarter of an hour, which begins at `at`, UTC."""

    at: datetime
    size: int
    runs: int


@dataclass(frozen=True, slots=True)
class Verified:
    """Quarters in which something was verified; `complete_since` is later than wanted where there was too much."""

    quarters: list[Quarter]
    complete_since: datetime


@dataclass(frozen=True, slots=True)
class DrainDuration:
    """How long a quit that ended the application took: seconds, None where a time cannot be read."""

    draining_since: datetime
    end_reason: str
    took_s: float | None


class MetricsReport(Queries):
    """Reads for `/metrics` and for the charts of the page."""

    def begin(self) -> EventCounts:
        """Return counts that are all zero: what happens from now on is counted."""
        return EventCounts(EventsReport(self._db).newest().event)

    def count(self, counts: EventCounts) -> None:
        """Add to `counts` what happened since. One caller at a time."""
        newest = EventsReport(self._db).newest().event
        rows = self._db.read(MOVES, {"after": counts.event, "newest": newest})
        for state, moves, verified, resumed in rows:
            counts.moves[str(state)] = counts.moves.get(str(state), 0) + whole(moves)
            counts.verified_bytes += whole(verified)
            counts.resumed_bytes += whole(resumed)
        counts.event = newest

    def unfinished(self) -> list[Unfinished]:
        """Return what is pending, by state and destination."""
        return self._db.views(Unfinished, figures.UNFINISHED)

    def failed(self) -> dict[str, int]:
        """Return how many jobs wait for an operator, by destination."""
        return self._counts(figures.FAILED_BY_DESTINATION)

    def quits(self) -> dict[str, QuitTotals]:
        """Return all quits there ever were, by outcome; a few a day."""
        rows = self._db.read(QUITS)
        return {str(outcome): QuitTotals(whole(count), real(seconds) or 0.0) for outcome, count, seconds in rows}

    def launch_ends(self) -> dict[str, int]:
        """Return how the launches before this one ended; a few a day."""
        return self._counts(LAUNCH_ENDS)

    def active_sessions(self, now: datetime) -> dict[str, int]:
        """Return the sessions that a quit waits for, by kind."""
        return self._counts(ACTIVE_SESSIONS, {"now": to_text(now)})

    def _counts(self, statement: Statement, params: dict[str, Value] | None = None) -> dict[str, int]:
        return {str(name): whole(count) for name, count in self._db.read(statement, params)}

    def verified(self, since: datetime, *, seconds: float = READ_SECONDS) -> Verified:
        """Return what was verified since then; runs that were deleted from the database are not counted."""
        sums: dict[str, tuple[int, int]] = {}
        before, stretch, deadline = MAX_ID, FIRST_STRETCH, time.monotonic() + seconds
        earliest, wanted = None, to_text(since)
        while True:
            rows = self._db.read(MOVE_BELOW, {"id": before})
            if not rows or str(rows[0][1]) < wanted:
                return Verified(_quarters(sums), since)
            top, earliest = whole(rows[0][0]), str(rows[0][1])
            if time.monotonic() >= deadline:
                return Verified(_quarters(sums), datetime.fromisoformat(earliest))
            params: dict[str, Value] = {"before": top + 1, "floor": top + 1 - stretch, "since": wanted}
            for quarter, size, runs in self._db.read(VERIFIED, params):
                known = sums.get(str(quarter), (0, 0))
                sums[str(quarter)] = (known[0] + whole(size), known[1] + whole(runs))
            before, stretch = top + 1 - stretch, min(2 * stretch, LONGEST_STRETCH)

    def drain_durations(self, *, limit: int) -> list[DrainDuration]:
        """Return the last quits that ended the application, newest first."""
        return self._db.views(DrainDuration, DRAIN_DURATIONS, {"limit": limit})


def _quarters(sums: dict[str, tuple[int, int]]) -> list[Quarter]:
    return [Quarter(datetime.fromisoformat(f"{at}:00Z"), size, runs) for at, (size, runs) in sorted(sums.items())]

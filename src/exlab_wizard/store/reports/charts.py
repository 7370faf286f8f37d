"""What charts show: bytes of the runs that were verified, quarter of an hour by quarter, and how long drains took.

Moves are written in the order of their time and never changed, so the end of `job_events` is read backwards, up to the
moment that is asked for: the cost is that of the last days, whatever came before.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from exlab_wizard.domain.clock import to_text
from exlab_wizard.store.reports.rows import MAX_ID, Record, records
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import Value, whole

READ_SECONDS: Final = 0.4
FIRST_STRETCH: Final = 4_000
LONGEST_STRETCH: Final = 64_000
_LAUNCHES_LOOKED_AT: Final = 2_000

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
DRAINS: Final = Statement(
    sa.text(
        "SELECT id, draining_since, ended_at, end_reason,"
        " max(0, round((julianday(ended_at) - julianday(draining_since)) * 86400.0, 3)) AS took_s"
        f" FROM (SELECT * FROM launches ORDER BY id DESC LIMIT {_LAUNCHES_LOOKED_AT})"
        " WHERE draining_since IS NOT NULL AND end_reason IN ('drained', 'forced') ORDER BY id DESC LIMIT :limit"
    )
)


@dataclass(frozen=True, slots=True)
class Quarter:
    """What was verified in a quarter of an hour, which begins at `at`, UTC."""

    at: datetime
    size: int
    runs: int


@dataclass(frozen=True, slots=True)
class Verified:
    """Quarters in which something was verified; `complete_since` is later than asked where there was too much."""

    quarters: list[Quarter]
    complete_since: datetime


class Figures:
    """Reads for charts."""

    def __init__(self, database: Database) -> None:
        """Work on `database`."""
        self._db = database

    def verified(self, since: datetime, *, seconds: float = READ_SECONDS) -> Verified:
        """Return what was verified since then; runs that were deleted from the database are not counted.

        Raises:
            StoreError: the database cannot be read.
        """
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

    def drains(self, *, limit: int) -> list[Record]:
        """Return the last quits that ended the application, newest first, each with the seconds that it took."""
        return records(self._db, DRAINS, {"limit": limit})


def _quarters(sums: dict[str, tuple[int, int]]) -> list[Quarter]:
    return [Quarter(datetime.fromisoformat(f"{at}:00Z"), size, runs) for at, (size, runs) in sorted(sums.items())]

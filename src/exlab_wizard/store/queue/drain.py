"""The drain predicate: how many leases are active and how many jobs in flight, in one statement, one snapshot.

It fails closed: what cannot be read raises, and is never taken as idle.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import sqlalchemy as sa

from exlab_wizard.domain.clock import to_text
from exlab_wizard.domain.quit import Blocker, DrainCount
from exlab_wizard.errors import PredicateUnreadableError, StoreError
from exlab_wizard.store.sqlite.database import Queries
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import whole
from exlab_wizard.store.tables import IS_ACTIVE, IS_IN_FLIGHT, session_leases, sync_jobs

IS_LEASED: Final = sa.and_(IS_ACTIVE, session_leases.c.expires_at > sa.bindparam("now"))
_count = sa.select(sa.func.count()).correlate(None)
ACTIVE_SESSIONS: Final = _count.select_from(session_leases).where(IS_LEASED).scalar_subquery()
IN_FLIGHT: Final = _count.select_from(sync_jobs).where(IS_IN_FLIGHT).scalar_subquery()
COUNT: Final = Statement(sa.select(ACTIVE_SESSIONS, IN_FLIGHT))
BLOCKERS: Final = Statement(
    sa.text(
        "SELECT kind, id, label, ifnull(since, '') AS since, bytes_left, percent, eta_s FROM drain_blockers"
        " ORDER BY since, id LIMIT 100"  # a time taken away with SQL must not hide what else is in flight
    )
)


class DrainQueries(Queries):
    """The predicate and what it counts. Raises PredicateUnreadableError where the database cannot be read."""

    def count(self, now: datetime) -> DrainCount:
        """Return what a quit has to wait for."""
        try:
            self._db.require_in_place()
            sessions, jobs = self._db.read(COUNT, {"now": to_text(now)})[0]
        except StoreError as error:
            msg = f"cannot tell whether work is in flight: {error}"
            raise PredicateUnreadableError(msg) from error
        return DrainCount(active_sessions=whole(sessions), in_flight_jobs=whole(jobs))

    def blockers(self) -> list[Blocker]:
        """Return the operations that a quit waits for, the oldest first, at most 100."""
        try:
            return self._db.views(Blocker, BLOCKERS)
        except StoreError as error:
            msg = f"cannot tell what is in flight: {error}"
            raise PredicateUnreadableError(msg) from error

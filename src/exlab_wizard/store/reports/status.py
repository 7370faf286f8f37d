"""Reads what runs, waits and failed in one go, for `exlab-wizard status` and for the API, which show the same."""

from __future__ import annotations

from collections import Counter
from typing import Final

from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.status import Pending, Standing, Waiting
from exlab_wizard.store.reports.rows import Record
from exlab_wizard.store.sqlite.values import whole
from exlab_wizard.store.store import Store

_LOOKED_AT: Final = 1_000
_SESSIONS: Final = 100


def read_standing(store: Store) -> Standing:
    """Return how things stand.

    Raises:
        StoreError: the database cannot be read.
    """
    lists = store.lists
    ended = [row for row in lists.launches(limit=2) if row["ended_at"] is not None]
    return Standing(
        launch=store.launches.open_launch(),
        pending={str(row["state"]): Pending(whole(row["jobs"]), whole(row["bytes_left"])) for row in lists.pending()},
        in_flight=store.drain.blockers(),
        waiting=_waiting(lists.jobs(limit=_LOOKED_AT, in_state=JobState.QUEUED)),
        failed=lists.failed(),
        sessions=[lease for lease in lists.sessions(limit=_SESSIONS) if lease["state"] == "active"],
        last_launch=ended[0] if ended else None,
    )


def _waiting(queued: list[Record]) -> list[Waiting]:
    held_back = ((str(job["destination"]), str(job["waiting_on"])) for job in queued if job["waiting_on"] is not None)
    return [Waiting(destination, reason, jobs) for (destination, reason), jobs in Counter(held_back).items()]

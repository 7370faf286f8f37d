"""What became of the work that the last launch was cut off from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from exlab_wizard.store.reports.rows import Record, records
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import Value, whole

MOST_JOBS: Final = 20
MOST_COUNTED: Final = 10_000
"""Of how many jobs bytes are added up: workers are 32 at most, so only a database made by other hands has more."""

LAUNCHES: Final = Statement(
    sa.text(
        "SELECT l.jobs_resumed, p.end_reason, p.ended_at FROM launches l"
        " JOIN launches p ON p.id = (SELECT max(id) FROM launches WHERE id < :launch) WHERE l.id = :launch"
    )
)
# Recovery logs one or two moves for each job, and nothing else: they are the newest of all when it is done.
_REQUEUED: Final = (
    " FROM (SELECT id, job_id, from_state, to_state FROM job_events"
    " WHERE id <= :newest ORDER BY id DESC LIMIT :moves) e"
    " CROSS JOIN sync_jobs j ON j.id = e.job_id WHERE e.from_state = 'resumable' AND e.to_state = 'queued'"
)
# What the last attempt found sent already is known once it has looked; until then it is what was sent before.
_KEPT: Final = (
    "CASE WHEN j.launch_id = :launch AND (j.bytes_resumed > 0 OR j.finished_at IS NOT NULL)"
    " THEN j.bytes_resumed ELSE j.bytes_done END"
)
RESUMED: Final = Statement(
    sa.text(f"SELECT j.id, j.run_path, j.destination, j.state{_REQUEUED} ORDER BY e.id LIMIT {MOST_JOBS}")
)
KEPT: Final = Statement(sa.text(f"SELECT coalesce(sum({_KEPT}), 0){_REQUEUED}"))


@dataclass(frozen=True, slots=True)
class Aftermath:
    """How the last launch ended, when, and the jobs that go on since; `jobs` are some of the `resumed`.

    `bytes_kept` are the bytes that need not be sent again: of all of them, or where there are more, of `MOST_COUNTED`.
    """

    ended: str
    ended_at: str
    resumed: int
    bytes_kept: int
    jobs: list[Record]

    @property
    def all_counted(self) -> bool:
        """Whether `bytes_kept` is of all of them."""
        return self.resumed <= MOST_COUNTED


class Aftermaths:
    """Reads for the page of one launch."""

    def __init__(self, database: Database) -> None:
        """Work on `database`."""
        self._db = database

    def of(self, launch_id: int, newest_event: int) -> Aftermath | None:
        """Return what followed from the end of the launch before `launch_id`; None where that ended well, or never was.

        `newest_event` is the newest row of `job_events` right after the recovery.
        """
        found = records(self._db, LAUNCHES, {"launch": launch_id})
        if not found or found[0]["end_reason"] in (None, "drained"):
            return None
        resumed = whole(found[0]["jobs_resumed"])
        if not resumed:
            return Aftermath(str(found[0]["end_reason"]), str(found[0]["ended_at"]), 0, 0, [])
        params: dict[str, Value] = {"launch": launch_id, "newest": newest_event}
        jobs = records(self._db, RESUMED, params | {"moves": 2 * min(resumed, MOST_JOBS)})
        ((kept,),) = self._db.read(KEPT, params | {"moves": 2 * min(resumed, MOST_COUNTED)})
        return Aftermath(str(found[0]["end_reason"]), str(found[0]["ended_at"]), resumed, whole(kept), jobs)

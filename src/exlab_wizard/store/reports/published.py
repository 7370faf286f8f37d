"""What the database says stands at the destinations: the runs that were verified, and the jobs behind a folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from exlab_wizard.domain.job import JobState
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import Row, Value, path_from_sql, path_to_sql, whole
from exlab_wizard.store.tables import sync_jobs

_job = sync_jobs.c
_b = sa.bindparam

_COLUMNS: Final = "run_path, destination, equipment_id, bytes_total, files_total"
# The bare columns are those of the row that has the greatest id.
LATEST: Final = Statement(
    sa.text(
        f"SELECT max(id), {_COLUMNS} FROM sync_jobs WHERE state IN ('verified', 'cleaned')"
        " GROUP BY run_path, destination, equipment_id ORDER BY max(id)"
    )
)
BY_JOB: Final = Statement(sa.text(f"SELECT id, {_COLUMNS} FROM sync_jobs WHERE id = :job"))
JOBS_OF_RUN: Final = Statement(
    sa.select(_job.id, _job.state)
    .where(_job.run_path == _b("run_path"), _job.destination == _b("destination"))
    .order_by(_job.id)
)
EQUIPMENT: Final = Statement(
    sa.select(_job.equipment_id).where(_job.destination == _b("destination"), _job.equipment_id.is_not(None)).distinct()
)


@dataclass(frozen=True, slots=True)
class Publication:
    """A run at a destination, and the job that brought it there."""

    job_id: int
    run_path: str
    destination: str
    equipment_id: str | None
    size: int
    files: int


class Publications:
    """Reads about the finished part of `sync_jobs`; their cost grows with history, so no hot path uses them."""

    def __init__(self, database: Database) -> None:
        """Work on `database`."""
        self._db = database

    def latest(self) -> list[Publication]:
        """Return every run that was verified, once for each destination and equipment."""
        return [_publication(row) for row in self._db.read(LATEST)]

    def of(self, job_id: int) -> Publication | None:
        """Return what a job publishes, or has published; None when there is no such job."""
        rows = self._db.read(BY_JOB, {"job": job_id})
        return _publication(rows[0]) if rows else None

    def jobs_of(self, run_path: str, destination: str) -> dict[int, JobState]:
        """Return all jobs of a run to a destination and their states, the oldest first."""
        params: dict[str, Value] = {"run_path": path_to_sql(run_path), "destination": destination}
        return {whole(job): JobState(str(state)) for job, state in self._db.read(JOBS_OF_RUN, params)}

    def equipment_at(self, destination: str) -> set[str]:
        """Return the equipment ids that name folders of a destination."""
        return {str(name) for (name,) in self._db.read(EQUIPMENT, {"destination": destination})}


def _publication(row: Row) -> Publication:
    job_id, run_path, destination, equipment_id, size, files = row
    assert isinstance(run_path, str | bytes)
    equipment = None if equipment_id is None else str(equipment_id)
    path = path_from_sql(run_path)
    return Publication(whole(job_id), path, str(destination), equipment, whole(size), whole(files))

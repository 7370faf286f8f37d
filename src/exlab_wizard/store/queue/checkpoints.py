"""The manifest and the checkpoints of one job: rows of `sync_files`, and the job's counters beside them.

Every write proves the claim in the same transaction. The files of one checkpoint and the counters are durable together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from exlab_wizard.domain.files import FileRecord, JobProgress
from exlab_wizard.store.sqlite.database import Queries
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import Value, path_to_sql
from exlab_wizard.store.tables import IS_IN_FLIGHT, ZERO, sync_files, sync_jobs

_job = sync_jobs.c
_file = sync_files.c
_b = sa.bindparam
_CHUNK: Final = 2_000
_COUNTERS: Final = tuple(field.name for field in fields(JobProgress))
_COLUMNS: Final = tuple(field.name for field in fields(FileRecord))

# Reading back begins anew with each attempt and lags behind; it counts as progress once all is sent.
_moved: Final[sa.ColumnElement[int]] = sa.case(
    (_b("bytes_done") < _b("bytes_total"), _b("bytes_done")), else_=_b("bytes_done") + _b("bytes_verified")
)
SET_PROGRESS: Final = Statement(
    sa.update(sync_jobs)
    .where(_job.id == _b("job"), _job.claim_id == _b("claim"), IS_IN_FLIGHT)
    .values(
        **{name: _b(name) for name in _COUNTERS},
        # Progress clears the crash count; going again over what was lost is not progress.
        crashes=sa.case((_moved > _job.progress_mark, ZERO), else_=_job.crashes),
        progress_mark=sa.func.max(_job.progress_mark, _moved),
    )
)
PUT_FILE: Final = Statement(
    sqlite.insert(sync_files).prefix_with("OR REPLACE").values({column.name: _b(column.name) for column in _file})
)
DROP_FILE: Final = Statement(sa.delete(sync_files).where(_file.job_id == _b("job"), _file.path == _b("path")))
LOAD_FILES: Final = Statement(
    sa.select(*(_file[name] for name in _COLUMNS)).where(_file.job_id == _b("job")).order_by(_file.path)
)


class Files(Queries):
    """The table `sync_files`, as one claim holder may change it."""

    def load(self, job_id: int) -> list[FileRecord]:
        """Return every remembered file of the job, sorted by path."""
        return self._db.views(FileRecord, LOAD_FILES, {"job": job_id})

    def checkpoint(
        self, job_id: int, claim_id: str, put: Sequence[FileRecord], drop: Sequence[str], progress: JobProgress
    ) -> bool:
        """Replace the rows `put`, forget the paths `drop`, set the counters; False when the claim is lost.

        A long manifest is written in several transactions, so that heartbeats get through between them.
        """
        counters: dict[str, Value] = {name: getattr(progress, name) for name in _COUNTERS}
        for start in range(0, max(len(put), len(drop), 1), _CHUNK):
            with self._db.transaction() as transaction:
                if transaction.change(SET_PROGRESS, {"job": job_id, "claim": claim_id, **counters}) != 1:
                    return False
                forgotten = drop[start : start + _CHUNK]
                transaction.change_many(DROP_FILE, [{"job": job_id, "path": path_to_sql(path)} for path in forgotten])
                transaction.change_many(PUT_FILE, [_row(job_id, file) for file in put[start : start + _CHUNK]])
        return True


def _row(job_id: int, file: FileRecord) -> dict[str, Value]:
    columns: dict[str, Value] = {name: getattr(file, name) for name in _COLUMNS}
    return {**columns, "path": path_to_sql(file.path), "job_id": job_id}

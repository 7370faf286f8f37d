"""The manifest and the checkpoints of one job: rows of `sync_files`, and the job's counters beside them.

Every write proves the claim in the same transaction. The files of one checkpoint and the counters are durable together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from exlab_wizard.domain.files import FileRecord, FileState, JobProgress
from exlab_wizard.store.sqlite.database import Queries
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import Value, path_from_sql, path_to_sql, text, whole
from exlab_wizard.store.tables import IS_IN_FLIGHT, sync_files, sync_jobs

_job = sync_jobs.c
_file = sync_files.c
_b = sa.bindparam
_CHUNK: Final = 2_000
_COUNTERS: Final = tuple(field.name for field in fields(JobProgress))

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
        crashes=sa.case((_moved > _job.progress_mark, sa.literal_column("0")), else_=_job.crashes),
        progress_mark=sa.func.max(_job.progress_mark, _moved),
    )
)
PUT_FILE: Final = Statement(
    sqlite.insert(sync_files).prefix_with("OR REPLACE").values({column.name: _b(column.name) for column in _file})
)
DROP_FILE: Final = Statement(sa.delete(sync_files).where(_file.job_id == _b("job"), _file.path == _b("path")))
LOAD_FILES: Final = Statement(
    sa.select(_file.path, _file.size, _file.mtime_ns, _file.state, _file.bytes_done, _file.prefix_sha256, _file.sha256)
    .where(_file.job_id == _b("job"))
    .order_by(_file.path)
)


class Files(Queries):
    """The table `sync_files`, as one claim holder may change it."""

    def load(self, job_id: int) -> list[FileRecord]:
        """Return every remembered file of the job, sorted by path."""
        return [
            FileRecord(
                path_from_sql(path),
                whole(size),
                whole(mtime),
                FileState(str(state)),
                whole(done),
                text(prefix),
                text(full),
            )
            for path, size, mtime, state, done, prefix, full in self._db.read(LOAD_FILES, {"job": job_id})
        ]

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
    return {
        "job_id": job_id,
        "path": path_to_sql(file.path),
        "size": file.size,
        "mtime_ns": file.mtime_ns,
        "state": file.state.value,
        "bytes_done": file.bytes_done,
        "prefix_sha256": file.prefix_sha256,
        "sha256": file.sha256,
    }

"""The files of one job, as people look at them: a page at a time, in the order of their names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from exlab_wizard.store.reports.rows import Record, records
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import path_to_sql
from exlab_wizard.store.tables import sync_files

_file = sync_files.c
_b = sa.bindparam
FILES: Final = Statement(
    sa.select(_file.path, _file.size, _file.mtime_ns, _file.state, _file.bytes_done, _file.sha256)
    .where(_file.job_id == _b("job"), _file.path > _b("after"))
    .order_by(_file.path)
    .limit(_b("limit"))
)


@dataclass(frozen=True, slots=True)
class FilePage:
    """Some files; `following` is the `after` of the next page, None on the last."""

    files: list[Record]
    following: str | None


class Contents:
    """Reads of `sync_files`; a page costs what it shows."""

    def __init__(self, database: Database) -> None:
        """Work on `database`."""
        self._db = database

    def files(self, job_id: int, *, limit: int, after: str = "") -> FilePage:
        """Return the files of a job behind the path `after`, which is in the form of `os.fsdecode`.

        Raises:
            StoreError: the database cannot be read.
        """
        found = records(self._db, FILES, {"job": job_id, "after": path_to_sql(after), "limit": limit + 1})
        following = str(found[limit - 1]["path"]) if len(found) > limit else None
        return FilePage(found[:limit], following)

"""The transfer's memory, kept in the database: every checkpoint proves the claim first."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence

from exlab_wizard.domain.files import FileRecord, Progress
from exlab_wizard.errors import ClaimLostError
from exlab_wizard.store.claims import ClaimedJob
from exlab_wizard.store.store import Store


class StoreJournal:
    """`transfer.journal.Journal` over the database, for one claim."""

    def __init__(self, store: Store, job: ClaimedJob, progressed: Callable[[], None]) -> None:
        """Remember for `job` as long as its claim holds; `progressed` is called after each checkpoint."""
        self._store = store
        self._job = job
        self._progressed = progressed
        # A transfer's helper threads come and go with each run; they share the worker's connection, one at a time.
        self._connection = store.database.connection()
        self._turn = threading.Lock()

    def load(self) -> list[FileRecord]:
        """Return every remembered file of the job, sorted by path."""
        with self._my_turn():
            return self._store.files.load(self._job.job_id)

    def write_manifest(self, put: Sequence[FileRecord], drop: Sequence[str], progress: Progress) -> None:
        """Insert or replace the rows `put`, forget `drop`, set the counters.

        Raises:
            ClaimLostError: the job is no longer ours.
        """
        self._write(put, drop, progress)

    def checkpoint(self, files: Sequence[FileRecord], progress: Progress) -> None:
        """Replace the rows `files` and set the counters, in one transaction.

        Raises:
            ClaimLostError: the job is no longer ours.
        """
        self._write(files, (), progress)
        with self._my_turn():
            self._progressed()

    def all_sent(self) -> None:
        """Move the job to `verifying`.

        Raises:
            ClaimLostError: the job is no longer ours.
        """
        with self._my_turn():
            held = self._store.jobs.all_sent(self._job.job_id, self._job.claim_id)
        if not held:
            raise self._lost()

    def _write(self, put: Sequence[FileRecord], drop: Sequence[str], progress: Progress) -> None:
        with self._my_turn():
            held = self._store.files.checkpoint(self._job.job_id, self._job.claim_id, put, drop, progress)
        if not held:
            raise self._lost()

    def _lost(self) -> ClaimLostError:
        return ClaimLostError(f"job {self._job.job_id}: the claim is lost")

    @contextlib.contextmanager
    def _my_turn(self) -> Iterator[None]:
        with self._turn, self._store.database.using(self._connection):
            yield

"""The checkpoints of a transfer, kept in the database: each one proves the claim first."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from exlab_wizard.domain.files import FileRecord, JobProgress
from exlab_wizard.errors import ClaimLostError, DamagedError, RuleError, StoppedError, StoreError
from exlab_wizard.process.logs import LogOnce
from exlab_wizard.store.queue.claims import ClaimedJob
from exlab_wizard.store.store import Store
from exlab_wizard.transfer.ports import TransferControl

log = logging.getLogger(__name__)

RETRY_INTERVAL_SECONDS: Final = 1.0
_Answer = TypeVar("_Answer")


class DatabaseCheckpoints:
    """`transfer.ports.Checkpoints` over the database, for one claim; `progressed` is called after each `write`.

    While the database cannot take a row, its call waits: it raises StoppedError when a stop is requested meanwhile, and
    StoreError when waiting would not help.
    """

    def __init__(self, store: Store, job: ClaimedJob, control: TransferControl, progressed: Callable[[], None]) -> None:
        self._store, self._job, self._control, self._progressed = store, job, control, progressed
        # A transfer's helper threads come and go with each run; they share the worker's connection, one at a time.
        self._connection = store.database.connections.current()
        self._turn = threading.Lock()

    def load(self) -> list[FileRecord]:
        """Return every remembered file of the job, sorted by path."""
        return self._retried(lambda: self._store.files.load(self._job.job_id))

    def write_manifest(self, put: Sequence[FileRecord], drop: Sequence[str], progress: JobProgress) -> None:
        """Insert or replace the rows `put`, forget `drop`, set the counters."""
        job, claim = self._job.job_id, self._job.claim_id
        self._claimed(lambda: self._store.files.checkpoint(job, claim, put, drop, progress))

    def write(self, files: Sequence[FileRecord], progress: JobProgress) -> None:
        """Replace the rows `files` and set the counters, in one transaction."""
        self.write_manifest(files, (), progress)
        with self._my_turn(), contextlib.suppress(StoreError):  # the next checkpoint reports it again
            self._progressed()

    def all_sent(self) -> None:
        """Move the job to `verifying`."""
        self._claimed(lambda: self._store.jobs.all_sent(self._job.job_id, self._job.claim_id))

    def _claimed(self, write: Callable[[], bool]) -> None:
        if not self._retried(write):
            msg = f"job {self._job.job_id}: the claim is lost"
            raise ClaimLostError(msg)

    def _retried(self, act: Callable[[], _Answer]) -> _Answer:
        """Retry `act` while the database cannot take it: a full disk or a lock there is no fault of the run."""
        log_once = LogOnce(log)
        while True:
            self._control.moved(0)  # a wait for the database is no stall
            try:
                with self._my_turn():
                    return act()
            except (RuleError, DamagedError):
                raise
            except StoreError as error:
                log_once.report(f"job {self._job.job_id}: its progress cannot be written yet", error)
                if self._control.wait(RETRY_INTERVAL_SECONDS):
                    raise StoppedError(self._control.reason) from error

    @contextlib.contextmanager
    def _my_turn(self) -> Iterator[None]:
        with self._turn, self._store.database.connections.using(self._connection):
            yield

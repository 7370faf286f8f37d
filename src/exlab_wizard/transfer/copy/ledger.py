"""The rows of one attempt as the checkpoints have them, and the counters that go with them.

Rows change here only together with the checkpoints. That a file was read back waits for the next checkpoint: losing it
costs one more reading, never data.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from exlab_wizard.domain.files import FileRecord, FileState, JobProgress
from exlab_wizard.transfer.copy.plan import Plan
from exlab_wizard.transfer.ports import Checkpoints


class Ledger:
    """Every file of the run by path, from `start` on. Safe to use from several threads."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints, self._lock = checkpoints, threading.Lock()
        self._bytes_total = self._files_done = self._bytes_done = self._bytes_verified = self._bytes_resumed = 0
        self._read_back: list[FileRecord] = []
        self.rows: dict[str, FileRecord] = {}

    def start(self, plan: Plan) -> None:
        """Take over the rows of `plan`, and write the difference between the checkpoints' rows and these.

        Raises:
            ClaimLostError: the job is no longer ours.
        """
        for row in plan.rows:
            self._apply(row)
            self._bytes_total += row.size
            if row.state is FileState.VERIFIED:
                self._bytes_verified += row.size
        self._bytes_resumed = self._bytes_done
        self.checkpoints.write_manifest(plan.put, plan.drop, self._progress())

    def record(self, rows: Sequence[FileRecord]) -> None:
        """Make `rows` durable, and what was read back meanwhile; what they claim must be durable already.

        Raises:
            ClaimLostError: the job is no longer ours.
        """
        with self._lock:
            together = [*self._read_back, *rows]
            for row in together:
                self._apply(row)
            self.checkpoints.write(together, self._progress())
            self._read_back.clear()

    def verified(self, rows: Sequence[FileRecord]) -> None:
        """Note rows that were read back and matched; they become durable with the next `record`."""
        with self._lock:
            self._read_back += rows

    def read_back(self, size: int) -> None:
        """Count `size` bytes that were read back."""
        with self._lock:
            self._bytes_verified += size

    def _apply(self, row: FileRecord) -> None:
        old = self.rows.get(row.path)
        if old is not None:
            self._files_done -= old.state is not FileState.PENDING
            self._bytes_done -= old.bytes_done
        self._files_done += row.state is not FileState.PENDING
        self._bytes_done += row.bytes_done
        self.rows[row.path] = row

    def _progress(self) -> JobProgress:
        files, total, verified = len(self.rows), self._bytes_total, min(self._bytes_verified, self._bytes_total)
        return JobProgress(files, self._files_done, total, self._bytes_done, verified, self._bytes_resumed)

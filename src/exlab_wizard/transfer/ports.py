"""The transfer's ends: its request, its checkpoints as a protocol, and the control that its worker talks through.

A transfer never knows where its checkpoints live. The workers implement `Checkpoints` over the database; its
methods return only when what they were given survives a power cut.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from exlab_wizard.domain.files import FileRecord, JobProgress
from exlab_wizard.errors import StoppedError


class Checkpoints(Protocol):
    """The durable memory of one job's attempt. Calls may come from any thread; they are serialised.

    A call that writes raises ClaimLostError when the job is no longer ours; then nothing was written.
    """

    def load(self) -> list[FileRecord]:
        """Return every remembered file of the job, sorted by path."""

    def write_manifest(self, put: Sequence[FileRecord], drop: Sequence[str], progress: JobProgress) -> None:
        """Insert or replace the rows `put`, forget the paths `drop`, and set the job's counters."""

    def write(self, files: Sequence[FileRecord], progress: JobProgress) -> None:
        """Replace the rows `files` and set the job's counters, in one transaction."""

    def all_sent(self) -> None:
        """Note that every byte is durable on the destination and only reading back and publishing are left."""


class TransferControl:
    """How the worker pool and one running transfer talk: a stop request one way, signs of life the other.

    `counted` gets the bytes of each move.
    """

    def __init__(self, counted: Callable[[int], None] = lambda _size: None) -> None:
        self._counted = counted
        self._stop = threading.Event()
        self.reason = ""
        self.file = ""
        """Where the transfer is, for people: the path within the run of the file that it began with last."""
        self.bytes_moved = 0
        self.last_moved = time.monotonic()

    def request_stop(self, reason: str) -> None:
        """Ask the transfer to stop at the next buffer, within a second; the first reason stays."""
        if not self._stop.is_set():
            self.reason = reason
            self._stop.set()

    @property
    def stop_requested(self) -> bool:
        """Whether a stop was requested."""
        return self._stop.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep up to `seconds`; return at once, and True, when a stop is requested."""
        return self._stop.wait(seconds)

    def check(self) -> None:
        """Raise if a stop was requested.

        Raises:
            StoppedError: it was; the message is the reason.
        """
        if self._stop.is_set():
            raise StoppedError(self.reason)

    def moved(self, size: int) -> None:
        """Note that `size` bytes were read, written or read back: the transfer is not stalled."""
        self.bytes_moved += size
        self.last_moved = time.monotonic()
        self._counted(size)


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """One run to one mounted destination.

    `job_key` names the incoming folder; it differs between workstations that share a destination. `final_parts` are
    the folder names from `destination` down to the run's final path. `marker_id` is the one that the destination's
    marker must have; empty allows any.
    """

    job_id: int
    job_key: str
    run_path: Path
    destination: Path
    final_parts: tuple[str, ...]
    settle_s: float
    host: str
    marker_id: str = ""

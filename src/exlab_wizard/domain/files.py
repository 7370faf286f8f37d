"""A run's files as the database remembers them between attempts: manifest and checkpoint in one row each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FileState(StrEnum):
    """The state of one file of a run."""

    PENDING = "pending"
    """Not sent, or sent in part: `bytes_done` bytes are durable on the destination."""
    COPIED = "copied"
    """All bytes are durable on the destination; `sha256` is of the bytes as they were read from the source."""
    VERIFIED = "verified"
    """Read back from the destination and equal to `sha256`."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One row of `sync_files`.

    `path` is relative to the run, with `/` between parts, in the form of `os.fsdecode` (so it may hold surrogates).
    `size` and `bytes_done` are bytes, hashes are hexadecimal. `prefix_sha256` is of the first `bytes_done` bytes of a
    file that was sent in part.
    """

    path: str
    size: int
    mtime_ns: int
    state: FileState = FileState.PENDING
    bytes_done: int = 0
    prefix_sha256: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A job's counters: whole files and bytes that are durable on the destination, and bytes read back and equal.

    `bytes_resumed` is what this attempt found already sent and did not send again.
    """

    files_total: int
    files_done: int
    bytes_total: int
    bytes_done: int
    bytes_verified: int
    bytes_resumed: int

"""The request of `sync`, and its result for each run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """Runs as they were typed, for a destination; None means the only one."""

    paths: tuple[str, ...]
    destination: str | None
    equipment: str | None
    priority: int


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """A run that is queued for a destination: its job, and whether that is new or was already pending."""

    id: int
    run_path: str
    destination: str
    created: bool

"""What `sync` is asked for, and what it gives back for each run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """Runs as they were typed, for a destination, or for the only one where none is named."""

    paths: tuple[str, ...]
    destination: str | None
    equipment: str | None
    priority: int


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """A run that is queued for a destination: its job, and whether that was made now or was pending already."""

    id: int
    run_path: str
    destination: str
    created: bool

"""What a launch tells once, when work may begin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exlab_wizard.store.queue.launches import Recovery


@dataclass(frozen=True, slots=True)
class Ready:
    """What a launch found and has. `url` is None where the HTTP API cannot start."""

    launch_id: int
    recovery: Recovery
    database: Path
    destinations: dict[str, str]
    first_destination: Path | None
    safe_mode: bool
    url: str | None

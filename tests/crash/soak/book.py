"""What the soak knows for certain: what was acknowledged, what it took back itself, what it counted, what went wrong.

Clients, faults and the conductor write here from their own threads.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from exlab_wizard.testing import Picture


@dataclass(eq=False)
class Run:
    """One run that a client made, and every version of its content that ever stood on the disk."""

    path: Path
    destination: str
    equipment: str | None
    versions: list[Picture]
    acknowledged: list[int] = field(default_factory=list)
    """Its jobs, as they were answered."""
    cancelled: bool = False
    """The last of them was cancelled by the soak itself."""
    edited_at: float | None = None
    """Wall time of the last edit; a run is edited once at most, and never after it was cancelled."""
    edited_quietly: bool = False
    """The edit kept size and time: in a file that was sent already nobody can notice it."""
    compared: int | None = None
    """The job of which the published run was compared, and was right."""
    at_work: threading.Lock = field(default_factory=threading.Lock)
    """Held while a client changes it, or while it is checked and removed."""


class Book:
    """Everything that is known, behind one lock."""

    def __init__(self, log: Path) -> None:
        self._lock = threading.Lock()
        self._log = log
        self._began = time.monotonic()
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self.runs: dict[Path, Run] = {}

    def count(self, what: str, number: int = 1) -> None:
        with self._lock:
            self.counts[what] += number

    def note(self, sentence: str) -> None:
        """Write what happens into the log, with the second of the soak at which it does."""
        with self._lock, self._log.open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"{time.monotonic() - self._began:9.3f}  {sentence}\n")

    def violated(self, sentence: str) -> None:
        """Keep what must not be; the same thing once."""
        self.note(f"VIOLATION {sentence}")
        with self._lock:
            if sentence not in self.violations:
                self.violations.append(sentence)

    def add(self, run: Run) -> None:
        with self._lock:
            self.runs[run.path] = run

    def forget(self, run: Run) -> None:
        with self._lock:
            del self.runs[run.path]

    def all_runs(self) -> list[Run]:
        with self._lock:
            return list(self.runs.values())

    def run_at(self, path: Path) -> Run | None:
        with self._lock:
            return self.runs.get(path)

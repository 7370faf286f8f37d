"""What the running application takes: memory, descriptors, threads, and the files of its database.

Samples are compared only when nothing was in flight, and the process had worked for a while: what it loads and keeps
for later is no growth.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from exlab_wizard.testing import MIB

POLL_INTERVAL_SECONDS: Final = 0.25
WAL_LIMIT_BYTES: Final = 64 * MIB
WARM_SECONDS: Final = 12.0
MEMORY_SLACK_BYTES: Final = 48 * MIB
HANDLES_SLACK: Final = 12
"""The threads and connections that come with the first requests over HTTP, and a look that is under way."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One process, while nothing is in flight."""

    launch: int
    age_s: float
    rss: int
    descriptors: int
    threads: int


def sample(launch: int, pid: int) -> Sample:
    """Return what a process takes now."""
    process = psutil.Process(pid)
    with process.oneshot():
        age_s = time.time() - process.create_time()
        return Sample(launch, age_s, process.memory_info().rss, process.num_fds(), process.num_threads())


def growth(samples: list[Sample]) -> list[str]:
    """Return one sentence for each thing that grew: from the first launch to the last, and within a long one."""
    warm = [one for one in samples if one.age_s >= WARM_SECONDS]
    within = [(one, other) for one, other in itertools.pairwise(warm) if one.launch == other.launch]
    across = [(warm[0], warm[-1])] if warm else []
    return [sentence for one, other in [*within, *across] for sentence in _growth(one, other)]


def _growth(before: Sample, after: Sample) -> list[str]:
    limits = (
        ("memory", before.rss + MEMORY_SLACK_BYTES, after.rss),
        ("descriptors", before.descriptors + HANDLES_SLACK, after.descriptors),
        ("threads", before.threads + HANDLES_SLACK, after.threads),
    )
    return [
        f"{what} grew: {now} in launch {after.launch}, at most {most} expected from launch {before.launch}"
        for what, most, now in limits
        if now > most
    ]


class LogWatch:
    """Follows the size of the write-ahead log; by its name only, since to open it would drop SQLite's locks."""

    def __init__(self, database: Path, stop: threading.Event) -> None:
        self._wal = database.with_name(database.name + "-wal")
        self._stop = stop
        self.largest = 0
        self.thread = threading.Thread(target=self._work, name="log-watch")

    def _work(self) -> None:
        while not self._stop.wait(POLL_INTERVAL_SECONDS):  # time: between two looks
            with contextlib.suppress(FileNotFoundError):  # whoever closes the database last removes it
                self.largest = max(self.largest, self._wal.stat().st_size)

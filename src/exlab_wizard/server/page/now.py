"""What the first page shows: runs on their way with rate and time left, what waits and why, who is at work."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.views import Job
from exlab_wizard.server.backend import Backend, as_utf8, view_as_utf8
from exlab_wizard.server.page.words import done_percent

RATE_SECONDS: Final = 12.0
"""The rate is that of so many seconds: short enough to show that a share hangs, long enough not to flicker."""
_POLL_INTERVAL_SECONDS: Final = 0.4


@dataclass(frozen=True, slots=True)
class Moving:
    """A run on its way; rates in bytes per second, times in seconds, None where nothing is known yet."""

    job: Job
    percent: float | None
    rate: float | None
    eta_s: float | None
    file: str | None


class Rates:
    """How fast each job moves, from what its rows showed in the last seconds. Thread-safe."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._lock = threading.Lock()
        self._looks: dict[int, deque[tuple[float, int, int]]] = {}

    def look(self, jobs: list[Job], now: float) -> dict[int, tuple[float, float]]:
        """Note how far `jobs` are at monotonic time `now`; return bytes per second, sent and read back, of each.

        What was not seen twice is not in the answer. Jobs that are not among `jobs` are forgotten.
        """
        rates: dict[int, tuple[float, float]] = {}
        with self._lock:
            here = {job.id: job for job in jobs}
            self._looks = {number: self._looks.get(number, deque()) for number in here}
            for number, job in here.items():
                looks = self._looks[number]
                look = (now, job.bytes_done, job.bytes_verified)
                if looks and (look[1] < looks[-1][1] or look[2] < looks[-1][2]):
                    looks.clear()  # it began again
                if not looks or now - looks[-1][0] >= _POLL_INTERVAL_SECONDS:
                    looks.append(look)
                while len(looks) > 2 and now - looks[1][0] >= RATE_SECONDS:  # noqa: PLR2004 - a rate needs two
                    looks.popleft()
                if now - looks[0][0] >= 2 * _POLL_INTERVAL_SECONDS:
                    span = now - looks[0][0]
                    rates[number] = ((look[1] - looks[0][1]) / span, (look[2] - looks[0][2]) / span)
        return rates


class Now:
    """Reads the first page."""

    def __init__(self, backend: Backend) -> None:
        """Read from `backend`."""
        self._backend = backend
        self._rates = Rates()

    def read(self) -> dict[str, object]:
        """Return what the template shows.

        Raises:
            StoreError: the database cannot be read.
        """
        activity, now = self._backend.store.activity, self._backend.now()
        jobs = activity.in_flight()
        rates = self._rates.look(jobs, self._backend.clock.monotonic())
        files = self._backend.workers.status().files
        moving = [self._moving(job, rates.get(job.id), files, now) for job in jobs]
        return {
            "moving": moving,
            "bytes_left": sum(job.bytes_total - job.bytes_done for job in jobs),
            "due": [view_as_utf8(job) for job in activity.due()],
            "retried": [view_as_utf8(job) for job in activity.retried()],
            "waiting": [as_utf8(group) for group in activity.waiting()],
            "sessions": [(view_as_utf8(one), (one.expires_at - now).total_seconds()) for one in activity.sessions()],
            "arrived": [view_as_utf8(job) for job in activity.verified()],
            "destinations": list(self._backend.destinations()),
        }

    @staticmethod
    def _moving(job: Job, rates: tuple[float, float] | None, files: dict[int, str], now: datetime) -> Moving:
        sent, back = rates or _average(job, now)
        left = 2 * job.bytes_total - job.bytes_done - job.bytes_verified
        rate = back if job.state is JobState.VERIFYING else sent
        eta = left / (sent + back) if job.bytes_total and sent + back > 0 else None
        return Moving(view_as_utf8(job), done_percent(job), rate if rates or rate else None, eta, files.get(job.id))


def _average(job: Job, now: datetime) -> tuple[float, float]:
    """Return the rates since the job was claimed, for the first look at it."""
    since = 0.0 if job.claimed_at is None else (now - job.claimed_at).total_seconds()
    sent = max(0, job.bytes_done - job.bytes_resumed)
    return (sent / since, sent / since) if since > 1 else (0.0, 0.0)

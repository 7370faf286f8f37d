"""Reads the first page: runs that are syncing, with rate and time left, waiting runs and why, active sessions."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.views import Job
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.page.words import done_percent
from exlab_wizard.store.reports.activity import MOST_ROWS

RATE_SECONDS: Final = 12.0
"""Rates are averages over this time: short enough to show that a share hangs, long enough not to flicker."""
_POLL_INTERVAL_SECONDS: Final = 0.4


@dataclass(frozen=True, slots=True)
class Syncing:
    """A run that is being synced; rates in bytes per second, times in seconds, None while unknown."""

    job: Job
    percent: float | None
    rate: float | None
    eta_s: float | None
    file: str | None


class Rates:
    """The rate of each job, from samples of its row in the last seconds. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._samples: dict[int, deque[tuple[float, int, int]]] = {}

    def sample(self, jobs: list[Job], now: float) -> dict[int, tuple[float, float]]:
        """Sample `jobs` at monotonic time `now`; return the bytes per second, sent and read back, of each.

        A job without two samples has no rate. Jobs that are not among `jobs` are forgotten.
        """
        rates: dict[int, tuple[float, float]] = {}
        with self._lock:
            here = {job.id: job for job in jobs}
            self._samples = {number: self._samples.get(number, deque()) for number in here}
            for number, job in here.items():
                samples = self._samples[number]
                sample = (now, job.bytes_done, job.bytes_verified)
                if samples and (sample[1] < samples[-1][1] or sample[2] < samples[-1][2]):
                    samples.clear()  # the copy started again
                if not samples or now - samples[-1][0] >= _POLL_INTERVAL_SECONDS:
                    samples.append(sample)
                while len(samples) > 2 and now - samples[1][0] >= RATE_SECONDS:  # noqa: PLR2004 - a rate needs two
                    samples.popleft()
                if now - samples[0][0] >= 2 * _POLL_INTERVAL_SECONDS:
                    span = now - samples[0][0]
                    rates[number] = ((sample[1] - samples[0][1]) / span, (sample[2] - samples[0][2]) / span)
        return rates


def read_now(backend: Backend, known: Rates) -> dict[str, object]:
    """Return the values of the template.

    Raises:
        StoreError: the database cannot be read.
    """
    activity, now = backend.store.activity, backend.now()
    jobs = backend.store.rows.in_flight(limit=MOST_ROWS)
    sessions = backend.store.rows.active_sessions(limit=MOST_ROWS)
    rates = known.sample(jobs, backend.clock.monotonic())
    files = backend.workers.status().files
    return {
        "moving": [_syncing(job, rates.get(job.id), files.get(job.id), now) for job in jobs],
        "bytes_left": sum(job.bytes_total - job.bytes_done for job in jobs),
        "due": activity.due(),
        "retried": activity.retried(),
        "waiting": activity.waiting(),
        "sessions": [(one, (one.expires_at - now).total_seconds()) for one in sessions],
        "arrived": activity.verified(),
        "destinations": list(backend.destinations()),
    }


def _syncing(job: Job, rates: tuple[float, float] | None, file: str | None, now: datetime) -> Syncing:
    sent, back = rates or _average(job, now)
    left = 2 * job.bytes_total - job.bytes_done - job.bytes_verified
    rate = back if job.state is JobState.VERIFYING else sent
    eta = left / (sent + back) if job.bytes_total and sent + back > 0 else None
    return Syncing(job, done_percent(job), rate if rates or rate else None, eta, file)


def _average(job: Job, now: datetime) -> tuple[float, float]:
    """Return the average rates since the job was claimed, for its first sample."""
    since = 0.0 if job.claimed_at is None else (now - job.claimed_at).total_seconds()
    sent = max(0, job.bytes_done - job.bytes_resumed)
    return (sent / since, sent / since) if since > 1 else (0.0, 0.0)

"""Metrics in the OpenMetrics text format, which Prometheus reads, computed at each scrape.

Counters begin with the launch, except those of launches and quits, which are rows in the database. Nothing of other
libraries is exported.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Response

from exlab_wizard import __version__
from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.quit import QuitOutcome
from exlab_wizard.domain.views import SessionKind
from exlab_wizard.paths import printable
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import refusals
from exlab_wizard.server.thread_pools import ThreadPools
from exlab_wizard.store.reports.metrics import QuitTotals

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

END_REASONS: Final = ("drained", "forced", "crashed", "host_restarted")
_UNFINISHED: Final = (JobState.QUEUED, JobState.RUNNING, JobState.VERIFYING, JobState.RESUMABLE)
_Sample = tuple[str, dict[str, str], float]
"""What follows the name of the family, the labels, and the value."""
_Family = tuple[str, str, str, str, list[_Sample]]
"""Type, name without `exlab_wizard_` and unit, description, unit, and samples."""


class MetricsRoutes:
    """`/api/v1/metrics`."""

    def __init__(self, backend: Backend, pools: ThreadPools) -> None:
        self._backend = backend
        self._pools = pools
        self._lock = threading.Lock()
        self._began = backend.now()
        self.router = APIRouter(tags=["metrics"])
        responses = refusals(503)
        self.router.add_api_route("/metrics", self.read, methods=["GET"], response_class=Response, responses=responses)

    async def read(self) -> Response:
        """Show the metrics in OpenMetrics text."""
        return await self._pools.reads.run(self.scrape)

    def scrape(self) -> Response:
        """Return the answer to a scrape; it reads the database."""
        from prometheus_client.openmetrics import exposition  # noqa: PLC0415 - loaded only where monitoring is used

        with self._lock:
            text = exposition.generate_latest(self)  # type: ignore[no-untyped-call]  # it has none
        return Response(text, media_type=exposition.CONTENT_TYPE_LATEST)

    def collect(self) -> Iterator[Metric]:
        """Yield each family with all its samples, zeros included."""
        from prometheus_client.metrics_core import Metric  # noqa: PLC0415 - as above

        for kind, name, about, unit, samples in (*self._jobs(), *self._moves(), *self._ends(), *self._program()):
            family = Metric(f"exlab_wizard_{name}", about, kind, unit)
            for suffix, labels, value in samples:
                family.add_sample(f"{family.name}{suffix}", labels, value)
            yield family

    def _jobs(self) -> Iterator[_Family]:
        metrics, now = self._backend.store.metrics, self._backend.now()
        unfinished, failed = metrics.unfinished(), metrics.failed()
        names = sorted({*self._backend.destinations(), *(one.destination for one in unfinished), *failed})
        counts = {(one.state, one.destination): one.jobs for one in unfinished}
        counts |= {(JobState.FAILED.value, name): count for name, count in failed.items()}
        jobs, left, age = list[_Sample](), list[_Sample](), list[_Sample]()
        for name in names:
            label = {"destination": printable(name)}
            for state in (*_UNFINISHED, JobState.FAILED):
                jobs.append(("", {"state": state.value, **label}, counts.get((state.value, name), 0)))
            mine = [one for one in unfinished if one.destination == name]
            left.append(("", label, sum(one.bytes_left for one in mine)))
            age.append(("", label, max((max(0.0, (now - one.oldest).total_seconds()) for one in mine), default=0.0)))
        yield "gauge", "jobs", "Unfinished and failed jobs.", "", jobs
        yield "gauge", "pending", "Bytes that are not on the destination yet.", "bytes", left
        yield "gauge", "oldest_pending_age", "Age of the oldest pending job; 0 for none.", "seconds", age

    def _moves(self) -> Iterator[_Family]:
        progress, total = self._backend.progress, self._backend.workers.throughput.total
        self._backend.store.metrics.count(progress)
        moves = [self._counted(progress.moves.get(state, 0), state=state.value) for state in JobState]
        yield "counter", "job_moves", "Moves of jobs into each state.", "", list(chain(*moves))
        about = "Bytes of runs that were read back, matched and were published."
        yield "counter", "verified", about, "bytes", self._counted(progress.verified_bytes)
        about = "Bytes of verified runs that were sent before an interruption."
        yield "counter", "resumed", about, "bytes", self._counted(progress.resumed_bytes)
        yield "counter", "moved", "Bytes that were sent or read back.", "bytes", self._counted(total)

    def _ends(self) -> Iterator[_Family]:
        metrics = self._backend.store.metrics
        quits, ends, sessions = metrics.quits(), metrics.launch_ends(), metrics.active_sessions(self._backend.now())
        drains: list[_Sample] = []
        for outcome in QuitOutcome:
            ended, label = quits.get(outcome.value, QuitTotals(0, 0.0)), {"outcome": outcome.value}
            drains += [("_count", label, ended.quits), ("_sum", label, ended.seconds)]
        yield "summary", "drain", "Quits, and the time from the request to the decision.", "seconds", drains
        launches: list[_Sample] = [("_total", {"reason": reason}, ends.get(reason, 0)) for reason in END_REASONS]
        yield "counter", "launches_ended", "Launches of this state dir, by their end.", "", launches
        active: list[_Sample] = [("", {"kind": kind.value}, sessions.get(kind.value, 0)) for kind in SessionKind]
        yield "gauge", "sessions_active", "Sessions that a quit waits for.", "", active

    def _program(self) -> Iterator[_Family]:
        yield "info", "build", "The program.", "", [("_info", {"version": __version__}, 1)]
        uptime = (self._backend.now() - self._began).total_seconds()
        paused = self._backend.store.launches.is_paused(self._backend.launch_id)
        database = self._backend.store.database
        wal = database.path.with_name(f"{database.path.name}-wal")
        wal_bytes = wal.stat().st_size if wal.exists() else 0
        workers = self._backend.workers.status()
        for name, about, unit, value in (
            ("uptime", "Time since the server of this launch started.", "seconds", uptime),
            ("launch", "The id of this launch.", "", self._backend.launch_id),
            ("paused", "1 while syncing is paused.", "", int(paused)),
            ("workers_busy", "Workers that are syncing a run.", "", workers.busy),
            ("workers_alive", "Workers that are running.", "", workers.alive),
            ("database_wal", "Size of the database's write-ahead log.", "bytes", wal_bytes),
        ):
            yield "gauge", name, about, unit, [("", {}, value)]
        about = "Statements that did not get a lock in time and are retried."
        yield "counter", "database_busy", about, "", self._counted(database.refused_as_busy)

    def _counted(self, value: float, **labels: str) -> list[_Sample]:
        return [("_total", labels, value), ("_created", labels, self._began.timestamp())]

"""Metrics in the OpenMetrics text format, which Prometheus reads, computed at each scrape.

Counters begin with the launch, except those of launches and quits, which are rows in the database. Nothing of other
libraries is exported: the registry is our own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Response

from exlab_wizard import __version__
from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.lease import SessionKind
from exlab_wizard.domain.quit import QuitOutcome
from exlab_wizard.paths import printable
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import refusals
from exlab_wizard.server.thread_pools import ThreadPools
from exlab_wizard.store.reports.metrics import QuitTotals

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

END_REASONS: Final = ("drained", "forced", "crashed", "host_restarted")
_UNFINISHED: Final = (JobState.QUEUED, JobState.RUNNING, JobState.VERIFYING, JobState.RESUMABLE)


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
        from prometheus_client.registry import CollectorRegistry  # noqa: PLC0415 - likewise

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        with self._lock:
            text = exposition.generate_latest(registry)  # type: ignore[no-untyped-call]  # it has none
        return Response(text, media_type=exposition.CONTENT_TYPE_LATEST)

    def describe(self) -> list[Metric]:
        """Describe nothing in advance: that would be a scrape of its own."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield each family with all its samples, zeros included."""
        yield from self._jobs()
        yield from self._moves()
        yield from self._ends()
        yield from self._program()

    def _jobs(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import GaugeMetricFamily as Gauge  # noqa: PLC0415 - as above

        metrics, now = self._backend.store.metrics, self._backend.now()
        unfinished, failed = metrics.unfinished(), metrics.failed()
        names = sorted({*self._backend.destinations(), *(one.destination for one in unfinished), *failed})
        jobs = Gauge("exlab_wizard_jobs", "Unfinished and failed jobs.", labels=["state", "destination"])
        counts = {(one.state, one.destination): one.jobs for one in unfinished}
        counts |= {(JobState.FAILED.value, name): count for name, count in failed.items()}
        about = "Bytes that are not on the destination yet."
        left = Gauge("exlab_wizard_pending_bytes", about, labels=["destination"], unit="bytes")
        about = "Age of the oldest pending job; 0 for none."
        age = Gauge("exlab_wizard_oldest_pending_age_seconds", about, labels=["destination"], unit="seconds")
        for name in names:
            label = printable(name)
            for state in (*_UNFINISHED, JobState.FAILED):
                jobs.add_metric([state.value, label], counts.get((state.value, name), 0))
            mine = [one for one in unfinished if one.destination == name]
            left.add_metric([label], sum(one.bytes_left for one in mine))
            age.add_metric([label], max((max(0.0, (now - one.oldest).total_seconds()) for one in mine), default=0.0))
        yield from (jobs, left, age)

    def _moves(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import CounterMetricFamily as Counter  # noqa: PLC0415 - as above

        metrics = self._backend.store.metrics
        progress = self._backend.progress
        metrics.count(progress)
        moves = Counter("exlab_wizard_job_moves", "Moves of jobs into each state.", labels=["state"])
        for state in JobState:
            moves.add_metric([state.value], progress.moves.get(state.value, 0), created=self._created)
        yield moves
        for name, about, value in (
            ("verified", "Bytes of runs that were read back, matched and were published.", progress.verified_bytes),
            ("resumed", "Of these, bytes that were sent before an interruption.", progress.resumed_bytes),
            ("moved", "Bytes that were sent or read back.", self._backend.workers.throughput.total),
        ):
            counter = Counter(f"exlab_wizard_{name}_bytes", about, labels=[], unit="bytes")
            counter.add_metric([], value, created=self._created)
            yield counter

    def _ends(self) -> Iterator[Metric]:
        from prometheus_client import metrics_core as core  # noqa: PLC0415 - as above

        metrics = self._backend.store.metrics
        quits, ends, sessions = metrics.quits(), metrics.launch_ends(), metrics.active_sessions()
        about = "Quits, and the time from the request to the decision."
        drain = core.SummaryMetricFamily("exlab_wizard_drain_seconds", about, labels=["outcome"], unit="seconds")
        for outcome in QuitOutcome:
            ended = quits.get(outcome.value, QuitTotals(0, 0.0))
            drain.add_metric([outcome.value], ended.quits, ended.seconds)
        launches = core.CounterMetricFamily(
            "exlab_wizard_launches_ended", "Launches of this state dir, by their end.", labels=["reason"]
        )
        for reason in END_REASONS:
            launches.add_metric([reason], ends.get(reason, 0))
        active = core.GaugeMetricFamily(
            "exlab_wizard_sessions_active", "Sessions that a quit waits for.", labels=["kind"]
        )
        for kind in SessionKind:
            active.add_metric([kind.value], sessions.get(kind.value, 0))
        yield from (drain, launches, active)

    def _program(self) -> Iterator[Metric]:
        from prometheus_client import metrics_core as core  # noqa: PLC0415 - as above

        info = core.InfoMetricFamily("exlab_wizard_build", "The program.")
        info.add_metric([], {"version": __version__})
        yield info
        uptime = (self._backend.now() - self._began).total_seconds()
        database = self._backend.store.database
        wal = database.path.with_name(f"{database.path.name}-wal")
        wal_bytes = wal.stat().st_size if wal.exists() else 0
        workers = self._backend.workers.status()
        for name, about, unit, value in (
            ("uptime_seconds", "Time since the server of this launch started.", "seconds", uptime),
            ("launch", "The id of this launch.", "", self._backend.launch_id),
            ("paused", "1 while syncing is paused.", "", self._paused()),
            ("workers_busy", "Workers that are syncing a run.", "", workers.busy),
            ("workers_alive", "Workers that are running.", "", workers.alive),
            ("database_wal_bytes", "Size of the database's write-ahead log.", "bytes", wal_bytes),
        ):
            yield core.GaugeMetricFamily(f"exlab_wizard_{name}", about, value, unit=unit)
        busy = core.CounterMetricFamily(
            "exlab_wizard_database_busy", "Statements that did not get a lock in time and are retried.", labels=[]
        )
        busy.add_metric([], database.refused_as_busy, created=self._created)
        yield busy

    @property
    def _created(self) -> float:
        return self._began.timestamp()

    def _paused(self) -> int:
        return int(self._backend.store.launches.is_paused(self._backend.launch_id))

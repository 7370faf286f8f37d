"""Health tells idle from dead, and the watchdog's silence from peace."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from starlette.requests import Request
from tests.integration.api.bench import backend_of
from tests.support.bench import Bench
from tests.support.program import PATIENCE_SECONDS, until

from exlab_wizard.domain.codec import decode
from exlab_wizard.domain.outcome import Completed, Outcome
from exlab_wizard.domain.views import Health
from exlab_wizard.server.api.health import HealthRoutes
from exlab_wizard.server.thread_pools import ThreadPools
from exlab_wizard.store.queue.claims import ClaimedJob
from exlab_wizard.transfer.ports import TransferControl


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench with one worker, at work."""
    bench = Bench(tmp_path)
    bench.pool.start()
    yield bench
    bench.close()


@pytest.fixture
def look(bench: Bench, tmp_path: Path) -> Iterator[Callable[[], Health]]:
    """Ask for health, with the token."""
    pools = ThreadPools(bench.database)
    routes = HealthRoutes(backend_of(bench, tmp_path), pools, "token")
    request = Request({"type": "http", "state": {"authenticated": True}})
    yield lambda: decode(Health, json.loads(bytes(asyncio.run(routes.read(request)).body)))
    pools.close()


def test_idle_workers_are_well_and_say_that_they_are_idle(look: Callable[[], Health]) -> None:
    view = look()
    assert (view.status, view.components["workers"].reason) == ("ok", "all 1 idle")


def test_a_worker_at_work_is_told(bench: Bench, look: Callable[[], Health]) -> None:
    def copy(job: ClaimedJob, control: TransferControl) -> Outcome:
        control.moved(1000)
        control.wait(PATIENCE_SECONDS)
        return Completed(job.run_path)

    bench.attempts.scripts["/runs/slow"] = copy
    job = bench.enqueue("/runs/slow")
    bench.pool.wake()
    until(lambda: bench.state(job) == "running", what="the claim")
    until(lambda: look().bytes_last_minute == 1000, what="the bytes")
    assert look().components["workers"].reason == "1 of 1 busy"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_that_has_ended_is_an_error(bench: Bench, look: Callable[[], Health]) -> None:
    def die(_job: ClaimedJob, _control: TransferControl) -> NoReturn:
        raise KeyboardInterrupt

    bench.attempts.scripts["/runs/deadly"] = die
    bench.enqueue("/runs/deadly")
    bench.pool.wake()
    until(lambda: look().status == "error", what="the dead worker to be seen")
    workers = look().components["workers"]
    assert (workers.status, workers.reason) == ("error", "1 of 1 worker ended unexpectedly; restart the application")


def test_a_watchdog_that_cannot_look_is_an_error(bench: Bench, look: Callable[[], Health]) -> None:
    bench.clock.pass_time(60)
    assert look().components["leases"].status == "error"


def test_jobs_that_wait_for_a_destination_are_a_warning(bench: Bench, look: Callable[[], Health]) -> None:
    bench.pool.stop()
    job = bench.enqueue("/runs/waiting", "other")
    sql = (
        "UPDATE sync_jobs SET waiting_on = 'destination_offline', not_before = '2030-01-01T00:00:00.000Z' WHERE id = ?"
    )
    bench.database.connection().execute(sql, (job,))
    destinations = look().components["destinations"]
    assert (destinations.status, destinations.reason) == ("warn", "jobs are waiting for other: destination_offline")

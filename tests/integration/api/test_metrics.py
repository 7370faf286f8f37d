"""Metrics are what the standard's own parser reads, true, and as cheap beside a long history as beside none."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from tests.integration.api.api import Api, code_of, run_of
from tests.integration.api.bench import backend_of
from tests.support import given
from tests.support.bench import Bench
from tests.support.program import ROOT, Program, until

from exlab_wizard.domain.job import JobState
from exlab_wizard.server.api.metrics import MetricsRoutes
from exlab_wizard.server.thread_pools import ThreadPools
from exlab_wizard.store.sqlite.driver import driver


def families(text: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]  # it has none


def values(text: str) -> dict[tuple[str, ...], float]:
    """Return every sample by its name and the values of its labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families(text).values()
        for sample in family.samples
    }


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def scrape(bench: Bench, home: Path) -> str:
    pools = ThreadPools(bench.database)
    return bytes(MetricsRoutes(backend_of(bench, home), pools).scrape().body).decode()


def test_the_metrics_of_a_running_application_are_true(program: Program, api: Api) -> None:
    before = values(api.get("/metrics").text)
    assert before["exlab_wizard_jobs", "nas", "queued"] == 0
    assert before["exlab_wizard_job_moves_total", "verified"] == 0
    api.enqueue(run_of(program))
    until(lambda: program.job_state() == "verified", what="the run to arrive")
    api.open()
    answer = api.get("/metrics")
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    now = values(answer.text)
    assert now["exlab_wizard_job_moves_total", "verified"] == 1
    assert now["exlab_wizard_job_moves_total", "running"] == 1
    assert now["exlab_wizard_verified_bytes_total",] == 200_010
    assert now["exlab_wizard_moved_bytes_total",] >= 2 * 200_010
    assert now["exlab_wizard_sessions_active", "run"] == 1
    assert now["exlab_wizard_launch",] == 1
    assert now["exlab_wizard_database_wal_bytes",] > 0
    # A counter never goes back, and counts nothing twice.
    assert values(api.get("/metrics").text)["exlab_wizard_verified_bytes_total",] == 200_010


def test_the_metrics_need_the_token(shared: Api) -> None:
    assert code_of(httpx.get(f"{shared.http.base_url}/api/v1/metrics")) == (401, "unauthorized")
    assert shared.get("/metrics").status_code == 200


def test_what_is_pending_failed_and_over_is_told(bench: Bench, tmp_path: Path) -> None:
    job = bench.enqueue("/runs/one")
    bench.enqueue("/runs/two")
    failed = bench.enqueue("/runs/three", "other")
    write = bench.database.connection().execute
    write("UPDATE sync_jobs SET bytes_total = 100, bytes_done = 40 WHERE id = ?", (job,))
    write("UPDATE sync_jobs SET state = 'running', claim_id = 'c', launch_id = 1 WHERE id = ?", (failed,))
    write("UPDATE sync_jobs SET state = 'failed', error_kind = 'auth' WHERE id = ?", (failed,))
    write(
        "INSERT INTO launches (host, boot_id, pid, process_started_at, version, started_at, ended_at, end_reason)"
        " VALUES ('h', 'b', 1, 't', '0', 't', 't', 'crashed')"
    )
    write(
        "INSERT INTO quit_requests (launch_id, requested_at, trigger, outcome, decided_at) VALUES"
        " (1, '2026-01-01T00:00:00.000Z', 'cli', 'forced', '2026-01-01T00:00:30.500Z')"
    )
    bench.clock.pass_time(90)
    now = values(scrape(bench, tmp_path))
    assert now["exlab_wizard_jobs", "nas", "queued"] == 2
    assert now["exlab_wizard_jobs", "other", "failed"] == 1
    assert now["exlab_wizard_pending_bytes", "nas"] == 60
    assert now["exlab_wizard_oldest_pending_age_seconds", "nas"] == pytest.approx(90, abs=1)
    assert now["exlab_wizard_oldest_pending_age_seconds", "other"] == 0
    assert now["exlab_wizard_launches_ended_total", "crashed"] == 1
    assert now["exlab_wizard_drain_seconds_count", "forced"] == 1
    assert now["exlab_wizard_drain_seconds_sum", "forced"] == pytest.approx(30.5, abs=0.01)


def test_a_lock_that_is_not_had_in_time_is_counted(bench: Bench, tmp_path: Path) -> None:
    other = driver.connect(bench.database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    bench.database.connection().execute("PRAGMA busy_timeout = 1")
    with pytest.raises(Exception, match="locked"):
        bench.enqueue("/runs/one")
    other.execute("ROLLBACK")
    other.close()
    assert values(scrape(bench, tmp_path))["exlab_wizard_database_busy_total",] == 1


def test_names_that_are_no_text_can_be_scraped(bench: Bench, tmp_path: Path) -> None:
    bench.database.connection().execute(
        "INSERT INTO sync_jobs (run_path, destination, enqueued_at)"
        " VALUES ('/r', CAST(x'ff220a' AS TEXT), '2026-01-01T00:00:00.000Z')"
    )
    assert values(scrape(bench, tmp_path))["exlab_wizard_jobs", '\\xff"\n', "queued"] == 1


def test_every_unit_is_in_its_name(shared: Api) -> None:
    found = families(shared.get("/metrics").text)
    assert len(found) > 12
    for name, family in found.items():
        assert name.startswith("exlab_wizard_")
        assert family.documentation.endswith("."), name
        assert not family.unit or name.endswith(f"_{family.unit}")


def test_every_metric_is_documented_and_no_other(shared: Api) -> None:
    ends = {"counter": "_total", "info": "_info"}
    told = {f"{name}{ends.get(one.type, '')}": one.type for name, one in families(shared.get("/metrics").text).items()}
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    assert dict(re.findall(r"^\| `(exlab_wizard_\w+)` \| (\w+)", page, re.MULTILINE)) == told


@pytest.mark.slow
def test_what_operating_says_leads_prometheus_to_the_metrics(served: Program, shared: Api, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "operating.md").read_text("utf-8")
    (script,) = re.findall(r"^```sh\n(python3 - .*?\nEOF)\n```$", page, re.MULTILINE | re.DOTALL)
    bin_dir = Path(sys.executable).parent
    environment = {
        **served.environment,
        "EXLAB_STATE_DIR": str(served.state),
        "PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}",
    }
    subprocess.run(["sh", "-ec", script.replace("/run/exlab-metrics", str(tmp_path))], env=environment, check=True)
    ((target,),) = [one["targets"] for one in json.loads((tmp_path / "targets.json").read_text())]
    token = (tmp_path / "token").read_text()
    assert (tmp_path / "token").stat().st_mode & 0o007 == 0
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"http://{target}/api/v1/metrics", headers=headers).text.endswith("# EOF\n")
    assert shared.address.token == token


def test_a_scrape_beside_a_long_history_costs_what_one_beside_none_does(bench: Bench, tmp_path: Path) -> None:
    bench.enqueue("/runs/pending")

    def cost(*, all_is_new: bool = False) -> int:
        backend = backend_of(bench, tmp_path)
        if all_is_new:
            backend.progress.event = 0
        return given.steps_of(bench.store, MetricsRoutes(backend, ThreadPools(bench.database)).scrape)

    alone = cost()
    given.execute(
        bench.store,
        "INSERT INTO sync_jobs (run_path, destination, state, enqueued_at, finished_at)"
        " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
        " SELECT '/runs/' || i, 'nas', 'verified', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z' FROM n",
    )
    given.execute(
        bench.store,
        "INSERT INTO job_events (job_id, at, from_state, to_state)"
        " SELECT id, finished_at, 'verifying', 'verified' FROM sync_jobs WHERE finished_at IS NOT NULL",
    )
    assert cost() <= 1.2 * alone
    assert cost(all_is_new=True) > 5000, "reading the history would be noticed"
    assert JobState.VERIFIED.value in scrape(bench, tmp_path)

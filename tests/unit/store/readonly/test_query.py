"""Who asks without end holds up nobody: writers go on, the WAL stays bounded, each query is cut at its limit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import given
from tests.support.program import PATIENCE_SECONDS, ROOT, Program, until
from tests.support.slow_copy import copying_slowly

from exlab_wizard.errors import StoreError
from exlab_wizard.paths import StateDir
from exlab_wizard.store.readonly import query as readonly
from exlab_wizard.store.readonly.query import WAL_ENDS_QUERY_BYTES, query
from exlab_wizard.store.store import Store

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n, sync_jobs, job_events"
INSPECTOR = """
import json, sys, time
from pathlib import Path
from exlab_wizard.errors import ExlabError
from exlab_wizard.process.identity import step_back
from exlab_wizard.store.readonly.query import query
said, end = [], time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    begun = time.monotonic()
    try:
        query(Path(sys.argv[1]), sys.argv[2], seconds=0.4, when_long=step_back)
    except ExlabError as error:
        said.append([str(error), time.monotonic() - begun])
print(json.dumps(said))
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    with Program(tmp_path) as program:
        yield program


@pytest.mark.slow
def test_writers_go_on_and_the_log_stays_bounded_while_inspectors_ask_without_end(program: Program) -> None:
    job = copying_slowly(program, 40)
    command = [sys.executable, "-c", INSPECTOR, str(program.database), ENDLESS, "2.5"]
    inspectors = [
        subprocess.Popen(command, cwd=ROOT, env=program.environment, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    wal = program.database.with_name("exlab-wizard.db-wal")
    waits: list[float] = []
    sizes: list[int] = []
    sent = program.number("SELECT bytes_done FROM sync_jobs WHERE id = ?", job)
    with program.store() as store:
        while any(process.poll() is None for process in inspectors):
            begun = time.monotonic()
            given.enqueue(store, f"later-{len(waits)}")
            waits.append(time.monotonic() - begun)
            sizes.append(wal.stat().st_size)
            threading.Event().wait(0.005)  # time: leaves the processor to the queries
    said = [line for process in inspectors for line in json.loads(process.communicate()[0])]
    assert len(said) >= 4
    assert {text for text, _ in said} == {
        "the query was stopped at its time limit of 0.4 s; narrow it or raise --timeout"
    }
    assert len(waits) > 20
    assert sorted(waits)[len(waits) // 2] < 0.4, "a writer waits for no query"
    assert max(sizes) <= WAL_ENDS_QUERY_BYTES
    done = "SELECT bytes_done FROM sync_jobs WHERE id = ?"
    until(lambda: program.number(done, job) > sent, what="the copy to have gone on")
    assert "busy" not in program.log()


def test_only_a_long_query_makes_way(store: Store, place: StateDir) -> None:
    given.enqueue(store, "a")
    called: list[bool] = []
    query(place.database, "SELECT * FROM sync_jobs", when_long=lambda: called.append(True))
    assert called == []
    with pytest.raises(StoreError, match="time limit"):
        query(place.database, ENDLESS.partition(", sync_jobs")[0], seconds=0.6, when_long=lambda: called.append(True))
    assert called == [True]


@pytest.mark.skipif(sys.platform != "linux", reason="how others step back cannot be asked for")
def test_to_step_back_is_to_run_only_when_nobody_else_does() -> None:
    code = (
        "import os; from exlab_wizard.process.identity import step_back; step_back(); print(os.sched_getscheduler(0))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(said.stdout) == os.SCHED_IDLE


def grow_wal(store: Store) -> None:
    store.database.connection().execute("PRAGMA wal_autocheckpoint = 0")
    store.database.grow_wal()


def test_a_query_that_keeps_the_log_from_beginning_anew_is_ended(
    store: Store, place: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    given.enqueue(store, "a")
    monkeypatch.setattr(readonly, "WAL_ENDS_QUERY_BYTES", 100_000)
    monkeypatch.setattr(readonly, "WAL_LIMIT_BYTES", 1 << 30)
    writer = threading.Timer(0.2, grow_wal, (store,))
    writer.start()
    with pytest.raises(StoreError, match="write-ahead log from being reset"):
        query(place.database, ENDLESS, seconds=PATIENCE_SECONDS)
    writer.join()


def test_a_query_waits_for_others_to_end_where_the_log_is_too_long(
    store: Store, place: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    given.enqueue(store, "a")
    monkeypatch.setattr(readonly, "WAL_LIMIT_BYTES", 0)
    shrink = threading.Timer(0.3, store.database.checkpoint)
    begun = time.monotonic()
    shrink.start()
    assert query(place.database, "SELECT count(*) FROM sync_jobs", seconds=PATIENCE_SECONDS).rows == [(1,)]
    assert time.monotonic() - begun >= 0.3
    shrink.join()
    given.enqueue(store, "b")
    begun = time.monotonic()
    assert query(place.database, "SELECT count(*) FROM sync_jobs", seconds=0.2).rows == [(2,)]
    assert time.monotonic() - begun >= 0.1, "half of its own time, and then it asks all the same"


def test_in_rollback_mode_a_query_ends_before_a_writer_gives_up(tmp_path: Path) -> None:
    state_dir = StateDir(tmp_path)
    given.migrate(state_dir)
    given.shell(state_dir.database, "PRAGMA journal_mode = delete")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readonly, "_ROLLBACK_SECONDS", 0.2)
        with pytest.raises(StoreError, match=r"time limit of 0\.2 s"):
            query(state_dir.database, ENDLESS.partition(", sync_jobs")[0], seconds=60)

"""Heavy queries during work: four workers copy, fifty clients send heartbeats, and ten inspectors ask without end.

Measured is how long writers wait, with and without inspectors, in turns: a heartbeat over HTTP, from request to answer,
and an enqueue by another process, from call to durable. The WAL's size is looked at ten times a second.

With `--through admin` the inspectors ask the running application at `/admin/` instead of the file.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from contextlib import ExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final

from benchmarks.measure import RESULTS
from exlab_wizard.errors import ExlabError
from exlab_wizard.paths import StateDir
from exlab_wizard.process.identity import SystemClock, step_back
from exlab_wizard.process.server_json import read_server_file
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.store.readonly.query import WAL_ENDS_QUERY_BYTES, query
from exlab_wizard.testing import MIB, Application, until

CLIENTS: Final = 50
INSPECTORS: Final = 10
WORKERS: Final = 4
HISTORY: Final = 100_000
LIMIT_MIB_S: Final = 16
QUERY_SECONDS: Final = 5.0
SPARE_SECONDS: Final = 3.0
HEAVY: Final = (
    "SELECT to_state, count(*), avg(julianday(at)) FROM sync_jobs j JOIN job_events ON job_id = j.id GROUP BY 1",
    "SELECT reason, count(*) FROM (SELECT * FROM job_events ORDER BY reason, detail, at DESC) GROUP BY reason",
    "SELECT count(*) FROM sync_jobs a JOIN sync_jobs b ON a.bytes_total = b.bytes_total AND a.id < b.id",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n, sync_jobs",
)
"""The last two have no end; they are cut at their limit."""
ASKED: Final = {"file": "the inspectors open the file", "admin": "the inspectors ask `/admin/`"}


@dataclass(slots=True)
class Phase:
    """What was seen in one turn; times in seconds."""

    heartbeats: list[float] = field(default_factory=list)
    enqueues: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    wal_bytes: int = 0
    answered: int = 0
    cut: int = 0
    longest_s: float = 0.0

    def worst_ms(self) -> dict[str, float]:
        """Return percentiles in milliseconds."""
        found: dict[str, float] = {}
        for name, times in (("heartbeat", sorted(self.heartbeats)), ("enqueue", sorted(self.enqueues))):
            for label, share in (("median", 0.5), ("p99", 0.99), ("longest", 1.0)):
                found[f"{name}, {label}"] = 1e3 * times[min(len(times) - 1, int(share * len(times)))]
        return found


def ask_file(database: Path, sql: str) -> None:
    """Ask as `exlab-wizard sql` does."""
    query(database, sql, seconds=QUERY_SECONDS, when_long=step_back)


def ask_admin(database: Path, sql: str) -> None:
    """Ask the running application at `/admin/`.

    Raises:
        ExlabError: it refused, in its own words.
    """
    address = read_server_file(StateDir(database.parent).server)
    assert address is not None
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=60)
    try:
        where = f"/admin/{database.stem}.json?{urllib.parse.urlencode({'sql': sql})}"
        connection.request("GET", where, headers={"Authorization": f"Bearer {address.token}"})
        answer = connection.getresponse()
        content = json.loads(answer.read())
    finally:
        connection.close()
    if answer.status != HTTPStatus.OK:
        raise ExlabError(content["error"]["message"])


def inspect(database: str, seconds: float, number: int, through: str) -> None:
    """Ask one heavy query after another, and say how they ended."""
    ask = ask_admin if through == "admin" else ask_file
    print("ready", flush=True)
    answered = cut = 0
    longest, errors = 0.0, []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.monotonic()
        try:
            ask(Path(database), HEAVY[number % len(HEAVY)])
            answered += 1
        except ExlabError as error:
            if "was ended" in str(error):  # both say so
                cut += 1
            else:
                errors.append(str(error))
        number += 1
        longest = max(longest, time.monotonic() - begun)
    print(json.dumps({"answered": answered, "cut": cut, "longest": longest, "errors": errors}))


def fill(application: Application) -> None:
    """Give the database a history, and the workers enough to copy for all turns."""
    application.query(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO sync_jobs"
        " (run_path, destination, state, enqueued_at, finished_at, bytes_total) SELECT '/old/' || i, 'nas',"
        " 'cancelled', '2025-01-01T00:00:00.000Z', '2025-01-01T01:00:00.000Z', i % 1000 FROM n",
        HISTORY,
    )
    for state in ("running", "verifying", "verified"):
        application.query(
            "INSERT INTO job_events (job_id, at, from_state, to_state, reason) SELECT id, enqueued_at, 'queued', ?,"
            " 'history ' || id % 97 FROM sync_jobs",
            state,
        )


def runs(application: Application) -> list[Path]:
    """Make two runs of one large file and two of many small ones."""
    made = []
    for number in range(WORKERS):
        run = application.home / f"run-{number}"
        run.mkdir()
        if number % 2:
            for name in range(20_000):
                (run / f"{name}.tif").write_bytes(os.urandom(4_000))
        else:
            with (run / "large.raw").open("wb") as file:
                file.truncate(2_000 * MIB)
        made.append(run)
    return made


def heartbeat(application: Application, phase: Phase, end: float) -> None:
    """One client: open a session, and renew it once a second."""
    address = read_server_file(StateDir(application.state).server)
    assert address is not None
    headers = {"Authorization": f"Bearer {address.token}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=30)

    def ask(path: str, body: object) -> dict[str, str]:
        connection.request("POST", f"/api/v1{path}", json.dumps(body), headers)
        answer = connection.getresponse()
        content: dict[str, str] = json.loads(answer.read())
        if answer.status >= 300:
            phase.failures.append(f"{answer.status} {content}")
        return content

    session = ask("/sessions", {"kind": "run", "label": "bench"})
    time.sleep(random.random())
    while time.monotonic() < end:
        begun = time.perf_counter()
        ask(f"/sessions/{session['id']}/heartbeat", {})
        phase.heartbeats.append(time.perf_counter() - begun)
        time.sleep(1.0)
    ask(f"/sessions/{session['id']}/abort", {})


def enqueue(application: Application, phase: Phase, end: float, first: int) -> None:
    """Another process's writer: ten enqueues a second, for a destination that nobody serves."""
    with application.store() as store:
        while time.monotonic() < end:
            begun = time.perf_counter()
            try:
                store.jobs.enqueue(NewJob(f"/later/{first}-{len(phase.enqueues)}", "later"), SystemClock().now())
            except ExlabError as error:
                phase.failures.append(str(error))
            phase.enqueues.append(time.perf_counter() - begun)
            time.sleep(0.1)


def turn(application: Application, seconds: float, inspectors: int, number: int, through: str) -> Phase:
    """Run one turn: the inspectors are at work before the clients begin."""
    phase = Phase()
    command = [sys.executable, "-m", "benchmarks.inspection", "--inspect", str(application.database)]
    command += ["--through", through]
    with ExitStack() as stack:
        asking = [
            stack.enter_context(
                subprocess.Popen(
                    [*command, "--number", str(place), "--seconds", str(seconds + SPARE_SECONDS)],
                    stdout=subprocess.PIPE,
                )
            )
            for place in range(inspectors)
        ]
        for process in asking:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=heartbeat, args=(application, phase, end)) for _ in range(CLIENTS)]
        threads.append(threading.Thread(target=enqueue, args=(application, phase, end, number)))
        for thread in threads:
            thread.start()
        wal = application.database.with_name("exlab-wizard.db-wal")
        while time.monotonic() < end:
            phase.wal_bytes = max(phase.wal_bytes, wal.stat().st_size)
            time.sleep(0.1)
        for thread in threads:
            thread.join()
        for process in asking:
            told = json.loads(process.communicate()[0])
            phase.answered += told["answered"]
            phase.cut += told["cut"]
            phase.longest_s = max(phase.longest_s, told["longest"])
            phase.failures += told["errors"]
    return phase


def measure(seconds: float, rounds: int, through: str) -> dict[str, object]:
    """Measure in turns, without inspectors and with them."""
    turns: list[dict[str, object]] = []
    with (
        tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_TMP")) as folder,
        Application(Path(folder)) as application,
    ):
        application.configure(workers=WORKERS, bandwidth_mib_s=LIMIT_MIB_S)
        application.call("db", "path")
        application.start()
        fill(application)
        for run in runs(application):
            application.enqueue(run)
        until(
            lambda: application.number("SELECT count(*) = 4 FROM sync_jobs WHERE state = 'running'"), what="the workers"
        )
        for number in range(2 * rounds):
            inspectors = INSPECTORS * (number % 2)
            phase = turn(application, seconds, inspectors, number, through)
            in_flight = application.number("SELECT count(*) FROM sync_jobs WHERE state IN ('running', 'verifying')")
            turns.append(
                {
                    "inspectors": inspectors,
                    **phase.worst_ms(),
                    "WAL at most, MiB": phase.wal_bytes / MIB,
                    "queries answered": phase.answered,
                    "queries cut at their limit": phase.cut,
                    "longest query, s": phase.longest_s,
                    "copies in flight at the end": in_flight,
                    "failures": phase.failures,
                }
            )
            print(json.dumps(turns[-1]), flush=True)
    return {
        "seconds": seconds,
        "through": through,
        "clients": CLIENTS,
        "WAL bound, MiB": WAL_ENDS_QUERY_BYTES / MIB,
        "turns": turns,
    }


def table(found: dict[str, object]) -> str:
    """Return the figures as a page."""
    turns = found["turns"]
    assert isinstance(turns, list)
    names = [name for name in turns[0] if name not in ("inspectors", "failures")]
    lines = [
        "# Inspection during work",
        "",
        f"Turns of {found['seconds']:g} s, {CLIENTS} clients, {WORKERS} workers; {ASKED[str(found['through'])]}.",
        "",
    ]
    lines.append("| " + " | ".join(["what", *(f"{it['inspectors']} inspectors" for it in turns)]) + " |")
    lines.append("|---" * (len(turns) + 1) + "|")
    lines += ["| " + " | ".join([name, *(f"{it[name]:.4g}" for it in turns)]) + " |" for name in names]
    lines.append("| " + " | ".join(["failures", *(str(len(it["failures"])) for it in turns)]) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--inspect", metavar="DATABASE", help="be one inspector")
    parser.add_argument("--number", type=int, default=0)
    parser.add_argument("--through", choices=tuple(ASKED), default="file", help="whom the inspectors ask")
    chosen = parser.parse_args()
    if chosen.inspect:
        inspect(chosen.inspect, chosen.seconds, chosen.number, chosen.through)
        return
    found = measure(chosen.seconds, chosen.rounds, chosen.through)
    name = "inspection" if chosen.through == "file" else "inspection-admin"
    (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (RESULTS / f"{name}.md").write_text(table(found), encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()

"""Quitting: SIGTERM to exit when idle, with clients, or copying; the last job's end, and the force, to exit."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.adapter import Ours
from benchmarks.application import (
    COMMAND,
    WITH_THE_WHOLE_STACK,
    Application,
    command,
    configure,
    moment,
    wait_until,
)
from benchmarks.measure import Figures, Run, Scratch, main, rounds
from exlab_wizard.paths import StateDir
from exlab_wizard.process.server_json import read_server_file

MODULE: Final = "benchmarks.shutdown"
SETTLED_SECONDS: Final = 0.7
MILLISECONDS: Final = 1e3
LIMIT_MIB_S: Final = 8
DRAINED_MIB: Final = 16
FORCED_MIB: Final = 512

FLOOR: Final = "four threads and a SQLite connection"
_WAIT: Final = """
import os, signal, sqlite3, threading
wake = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: wake.set())
database = sqlite3.connect(os.environ["BENCH_DB"], isolation_level=None, check_same_thread=False)
database.execute("PRAGMA journal_mode = wal")
threads = [threading.Thread(target=wake.wait) for _ in range(4)]
[thread.start() for thread in threads]
print("ready", flush=True)
wake.wait()
[thread.join() for thread in threads]
database.close()
"""
PLAIN: Final = {
    FLOOR: _WAIT,
    "the same, full stack imported": "import fastapi, uvicorn, sqlalchemy.orm\n" + _WAIT,
}
_UVICORN: Final = """
import threading, time, uvicorn
async def app(scope, receive, send): ...
server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="error"))
def tell():
    while not server.started: time.sleep(0.01)
    print("ready", flush=True)
threading.Thread(target=tell, daemon=True).start()
server.run()
"""


def plain(code: str, folder: Path) -> Figures:
    """Measure a program of a few lines."""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "BENCH_DB": str(folder / "floor.db")},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(SETTLED_SECONDS)
    began = time.perf_counter()
    process.send_signal(signal.SIGTERM)
    process.wait()
    return {"idle, SIGTERM to exit, ms": (time.perf_counter() - began) * MILLISECONDS}


def idle(program: tuple[str, ...], folder: Path) -> Figures:
    """Measure the whole program with nothing to do, its database up to date."""
    Ours().open(folder).close()
    application = Application(folder, program)
    time.sleep(SETTLED_SECONDS)
    began = application.terminate()
    took = application.gone() - began
    assert application.ask("SELECT end_reason FROM launches ORDER BY id DESC")[0][0] == "drained"
    return {"idle, SIGTERM to exit, ms": took * MILLISECONDS}


def connected(program: tuple[str, ...], folder: Path) -> Figures:
    """Measure the same while a client follows the events, another is silent, and a third has sent half a request."""
    Ours().open(folder).close()
    application = Application(folder, program)
    wait_until(lambda: read_server_file(StateDir(folder).server) is not None)
    address = read_server_file(StateDir(folder).server)
    assert address is not None
    head = f"Host: 127.0.0.1:{address.port}\r\nAuthorization: Bearer {address.token}\r\n"
    with contextlib.ExitStack() as stack:
        follower, _silent, half = (
            stack.enter_context(socket.create_connection(("127.0.0.1", address.port))) for _ in range(3)
        )
        follower.sendall(f"GET /api/v1/events HTTP/1.1\r\n{head}\r\n".encode())
        assert follower.recv(12) == b"HTTP/1.1 200"
        half.sendall(f"POST /api/v1/jobs HTTP/1.1\r\n{head}Content-Length: 1000\r\n\r\n{{".encode())
        time.sleep(SETTLED_SECONDS)
        took = -application.terminate() + application.gone()
    assert application.ask("SELECT end_reason FROM launches ORDER BY id DESC")[0][0] == "drained"
    return {"idle with three clients, SIGTERM to exit, ms": took * MILLISECONDS}


def session_end(program: tuple[str, ...], folder: Path) -> Figures:
    """Measure from SIGTERM, the end of a session, to the exit while a copy cannot end in time: promised are 5 s."""
    application = copying(program, folder, FORCED_MIB)
    application.until("SELECT bytes_done FROM sync_jobs", lambda done: int(done or 0) > 0)
    took = -application.terminate() + application.gone()
    assert application.ask("SELECT state FROM sync_jobs")[0][0] == "resumable"
    return {"copying, SIGTERM to exit, ms": took * MILLISECONDS}


def held(program: tuple[str, ...], folder: Path) -> Figures:
    """Measure the same while another program holds the database and lets go only afterwards."""
    application = copying(program, folder, FORCED_MIB)
    application.until("SELECT bytes_done FROM sync_jobs", lambda done: int(done or 0) > 0)
    with contextlib.closing(sqlite3.connect(application.database, timeout=30, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        took = -application.terminate() + application.gone()
    return {"copying, database held by another, SIGTERM to exit, ms": took * MILLISECONDS}


def draining(program: tuple[str, ...], folder: Path) -> Figures:
    """Measure from the end of the last job, which ends within the window, to the exit."""
    application = copying(program, folder, DRAINED_MIB)
    application.until("SELECT bytes_done FROM sync_jobs", lambda done: int(done or 0) > 0)
    application.terminate(signal.SIGINT)  # SIGTERM's window is too short for a job that is to end within it
    gone = application.gone()
    job, finished = application.ask("SELECT state, finished_at FROM sync_jobs")[0]
    assert job == "verified", job
    decided, outcome = application.ask("SELECT decided_at, outcome FROM quit_requests")[0]
    assert outcome == "drained", outcome
    return {
        "draining, last job's end to exit, ms": (gone - moment(finished)) * MILLISECONDS,
        "draining, last job's end to decision, ms": (moment(decided) - moment(finished)) * MILLISECONDS,
    }


def forcing(program: tuple[str, ...], folder: Path) -> Figures:
    """Measure from the second signal, which is the decision to force, to the exit."""
    application = copying(program, folder, FORCED_MIB)
    application.until("SELECT bytes_done FROM sync_jobs", lambda done: int(done or 0) > 0)
    application.terminate()
    application.until("SELECT count(*) FROM launches WHERE draining_since IS NOT NULL", lambda count: count == 1)
    forced = application.terminate()
    gone = application.gone()
    assert application.ask("SELECT state FROM sync_jobs")[0][0] == "resumable"
    assert application.ask("SELECT outcome FROM quit_requests")[0][0] == "forced"
    return {"forcing, decision to exit, ms": (gone - forced) * MILLISECONDS}


def copying(program: tuple[str, ...], folder: Path, size_mib: int) -> Application:
    """Start the program with one run in flight."""
    run_folder = folder / "runs" / "run-1"
    run_folder.mkdir(parents=True)
    with (run_folder / "data.bin").open("wb") as file:
        for _ in range(size_mib):
            file.write(os.urandom(1 << 20))
    state_dir = folder / "state"
    configure(state_dir, bandwidth_mib_s=LIMIT_MIB_S, folder=folder / "nas")
    command(state_dir, "sync", str(run_folder))
    return Application(state_dir, program)


def run(options: argparse.Namespace) -> None:
    """Run the rounds and write the results."""
    scratch = Scratch("shutdown")
    result = Run("Shutdown")
    ours = {"exlab-wizard": COMMAND, "exlab-wizard, full stack imported": WITH_THE_WHOLE_STACK}
    cases: dict[str, Callable[[Path], Figures]] = {}
    for name, code in {**PLAIN, "uvicorn alone": _UVICORN}.items():
        cases[name] = partial(plain, code)
    for name, program in ours.items():
        cases[name] = partial(idle, program)
        cases[f"{name}|connected"] = partial(connected, program)
        cases[f"{name}|session end"] = partial(session_end, program)
        cases[f"{name}|held"] = partial(held, program)
        cases[f"{name}|draining"] = partial(draining, program)
        cases[f"{name}|forcing"] = partial(forcing, program)
    for number, who in rounds(list(cases), options.rounds):
        result.add(who.partition("|")[0], number, cases[who](scratch.new()))
    result.save("shutdown", {"idle, SIGTERM to exit, ms": FLOOR})
    scratch.remove()


if __name__ == "__main__":
    main(MODULE, run, {})

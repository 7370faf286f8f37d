"""What a user is promised while nothing ends: processor time when idle, and a copy that keeps its bandwidth limit."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Final

import psutil

from benchmarks.adapter import Ours
from benchmarks.application import Application, command, configure, moment
from benchmarks.measure import Figures, Run, Scratch, main, rounds

MODULE: Final = "benchmarks.steady"
HISTORY: Final = 100_000
SETTLED_SECONDS: Final = 15.0
IDLE_SECONDS: Final = 30.0
LIMIT_MIB_S: Final = 8
SIZE_MIB: Final = 48
LIMITED: Final = f"a run of {SIZE_MIB} MiB at {LIMIT_MIB_S} MiB/s"


def idle(folder: Path, finished: int) -> Figures:
    """Measure the processor time that the program uses with nothing to do, after what the start has put off."""
    Ours.seed(folder, finished, 0, 0)
    application = Application(folder)
    process = psutil.Process(application.process.pid)
    time.sleep(SETTLED_SECONDS)
    before, began = process.cpu_times(), time.perf_counter()
    time.sleep(IDLE_SECONDS)
    after, took = process.cpu_times(), time.perf_counter() - began
    application.terminate()
    application.gone()
    used = after.user + after.system - before.user - before.system
    return {"idle, processor, % of a core": 100 * used / took}


def limited(folder: Path) -> Figures:
    """Measure a copy's time, from its claim to its end, against what the limit allows."""
    run_folder = folder / "runs" / "run-1"
    run_folder.mkdir(parents=True)
    (run_folder / "data.bin").write_bytes(os.urandom(SIZE_MIB << 20))
    state_dir = folder / "state"
    configure(state_dir, bandwidth_mib_s=LIMIT_MIB_S, folder=folder / "nas")
    command(state_dir, "sync", str(run_folder))
    application = Application(state_dir)
    application.until("SELECT state FROM sync_jobs", lambda state: state == "verified")
    began, ended = application.ask("SELECT claimed_at, finished_at FROM sync_jobs")[0]
    application.terminate()
    application.gone()
    return {"time of a limited copy, share of size / limit": (moment(ended) - moment(began)) / (SIZE_MIB / LIMIT_MIB_S)}


def run(options: argparse.Namespace) -> None:
    """Run the rounds and write the results."""
    scratch = Scratch("steady")
    result = Run("Idle, and a limited copy")
    empty, full = "exlab-wizard run --headless", f"the same, {HISTORY:,} finished jobs"
    for number, who in rounds((empty, full, LIMITED), options.rounds):
        folder = scratch.new()
        result.add(who, number, limited(folder) if who == LIMITED else idle(folder, HISTORY if who == full else 0))
    result.save("steady", {"idle, processor, % of a core": empty})
    scratch.remove()


if __name__ == "__main__":
    main(MODULE, run, {})

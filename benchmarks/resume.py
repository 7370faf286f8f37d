"""Resume: killed with SIGKILL in the middle of 2 GiB and started again: how much is sent twice, how long it takes."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Final

from benchmarks import trees
from benchmarks.application import COMMAND, command, configure, wait_until
from benchmarks.measure import Figures, Run, Scratch, child_environment, main, rounds

MODULE: Final = "benchmarks.resume"
MIB: Final = 1 << 20
SENT_TWICE: Final = "sent again after the kill, MiB"
TOOK: Final = "start to done after the kill, s"
RSYNC: Final = "rsync --append-verify"
RSYNC_COMPARED: Final = "the same, then openssl dgst -sha256 of both"
PROGRAM: Final = "exlab-wizard sync --wait"


def size_of_largest(folder: Path) -> int:
    """Return the size of the largest file below `folder`."""
    return max((path.stat().st_size for path in trees.files(folder)), default=0)


def killed_half_way(arguments: list[str], target: Path, whole: int) -> int:
    """Start a transfer, kill it and its children in the middle, prove that, and return how many bytes had arrived."""
    process = subprocess.Popen(
        arguments,
        env=child_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(lambda: size_of_largest(target) >= whole // 2 or process.poll() is not None)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL, process.returncode
    arrived = size_of_largest(target)
    assert whole // 2 <= arrived < whole, arrived
    os.sync()
    return arrived


def rsync(source: Path, folder: Path, whole: int) -> Figures:
    """Kill and repeat `rsync --append-verify`."""
    target = folder / "copy"
    target.mkdir()
    arguments = ["rsync", "-a", "--append-verify", "--fsync", "--stats", f"{source}/", f"{target}/"]
    arrived = killed_half_way(arguments, target, whole)
    began = time.perf_counter()
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    took = time.perf_counter() - began
    sent = re.search(r"Literal data: ([\d,]+)", done.stdout)
    assert sent is not None
    same(source, target)
    return {TOOK: took, SENT_TWICE: (int(sent[1].replace(",", "")) - (whole - arrived)) / MIB}


def rsync_and_compare(source: Path, folder: Path, whole: int) -> Figures:
    """The same, and then the hashes of both sides: what it takes to know that the copy is good, as `program` does."""
    figures = rsync(source, folder, whole)
    began = time.perf_counter()
    for side in (source, folder / "copy"):
        subprocess.run(["openssl", "dgst", "-sha256", str(side / "large.bin")], check=True, capture_output=True)
    return {TOOK: figures[TOOK] + time.perf_counter() - began}


def program(source: Path, folder: Path, whole: int) -> Figures:
    """Kill and repeat the program; the second start recovers, goes on, reads everything back and publishes."""
    state, target = folder / "state", folder / "nas"
    configure(state, folder=target)
    arrived = killed_half_way([*COMMAND, "--state-dir", str(state), "sync", str(source), "--wait"], target, whole)
    began = time.perf_counter()
    command(state, "sync", str(source), "--wait")
    took = time.perf_counter() - began
    database = sqlite3.connect(state / "exlab-wizard.db")
    rows = database.execute("SELECT state, bytes_resumed, crashes + interruptions FROM sync_jobs").fetchall()
    database.close()
    assert len(rows) == 1, rows
    outcome, resumed, _ = rows[0]
    assert outcome == "verified", rows
    same(source, target)
    return {TOOK: took, SENT_TWICE: (arrived - int(resumed)) / MIB}


def same(source: Path, target: Path) -> None:
    """Compare the large files."""
    digests = set()
    for path in (source / "large.bin", next(path for path in trees.files(target) if path.name == "large.bin")):
        with path.open("rb") as file:
            digests.add(hashlib.file_digest(file, "sha256").digest())
    assert len(digests) == 1, target


CONTESTANTS: Final = {RSYNC: rsync, RSYNC_COMPARED: rsync_and_compare, PROGRAM: program}


def run(options: argparse.Namespace) -> None:
    """Run the rounds and write the results."""
    scratch = Scratch("resume")
    result = Run("Resume after kill -9")
    source = scratch.new() / "run"
    source.mkdir()
    trees.one_large(source)
    trees.warm(source)
    whole = (source / "large.bin").stat().st_size
    for number, who in rounds(list(CONTESTANTS), options.rounds):
        folder = scratch.new()
        result.add(who, number, CONTESTANTS[who](source, folder, whole))
        trees.empty(folder)
    result.save("resume", {TOOK: RSYNC})
    scratch.remove()


if __name__ == "__main__":
    main(MODULE, run, {})

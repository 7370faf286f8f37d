"""Copy and verify: the program against `rsync -a --fsync` followed by `sha256sum` of both sides.

Both end durable and compared. The program reads its copy back from the disk, since it drops the cached pages first;
`sha256sum` reads what `rsync` left in the page cache, and so proves less. Where `sha256sum` does without the
processor's SHA instructions (GNU coreutils before it was linked with OpenSSL) it is slow: so the same pair also stands
here with `openssl dgst -sha256`, which has them, as the program does.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks import trees
from benchmarks.adapter import Ours
from benchmarks.application import command, configure
from benchmarks.measure import Figures, Run, Scratch, fresh_process, main, rounds
from exlab_wizard.domain.outcome import Completed, decide_next
from exlab_wizard.paths import StateDir
from exlab_wizard.process.identity import SystemClock
from exlab_wizard.settings import SettingsFile
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.transfer.ports import TransferControl
from exlab_wizard.workers.attempt import Attempts

MODULE: Final = "benchmarks.copy"

TREES: Final[dict[str, Callable[[Path], None]]] = {
    "1 x 2 GiB": trees.one_large,
    "2,000 x 1 MiB": lambda folder: trees.many(folder, 2_000, 1 << 20),
    "20,000 x 4 KiB": lambda folder: trees.many(folder, 20_000, 4 << 10),
}
REFERENCE: Final = "rsync -a --fsync, then sha256sum of both"
FAST_HASH: Final = "the same with openssl instead of sha256sum"
COMMAND_LINE: Final = "exlab-wizard sync --wait"
ENGINE: Final = "exlab-wizard, the engine alone"
PLAIN_COPY: Final = "cp -r and sync, nothing verified"

_PAIR: Final = """
set -e
hash=$4
rsync -a --fsync "$1/" "$2/"
sums() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 $hash) > "$2"; }
sums "$1" "$3/source.sums"; sums "$2" "$3/copy.sums"
cmp "$3/source.sums" "$3/copy.sums"
"""


def pair(source: Path, folder: Path, hasher: str = "sha256sum") -> float:
    """Copy and compare with the tools that people have."""
    target = folder / "copy"
    target.mkdir()
    began = time.perf_counter()
    subprocess.run(["sh", "-c", _PAIR, "sh", str(source), str(target), str(folder), hasher], check=True)
    return time.perf_counter() - began


def pair_with_openssl(source: Path, folder: Path) -> float:
    """Copy and compare with a hash that uses the processor's instructions."""
    return pair(source, folder, "openssl dgst -sha256")


def plain_copy(source: Path, folder: Path) -> float:
    """Copy and sync: the floor, for the eye."""
    began = time.perf_counter()
    subprocess.run(["cp", "-r", str(source), str(folder / "copy")], check=True)
    subprocess.run(["sync", "-f", str(folder)], check=True)
    return time.perf_counter() - began


def command_line(source: Path, folder: Path) -> float:
    """Sync with the command, its start-up and its exit included, on a state dir of its own."""
    configure(folder / "state", folder=folder / "nas")
    os.sync()
    began = time.perf_counter()
    command(folder / "state", "sync", str(source), "--wait")
    return time.perf_counter() - began


def engine(source: Path, folder: Path) -> float:
    """Sync in a fresh process through the worker's own code, from the claim to the finished row."""
    configure(folder / "state", folder=folder / "nas")
    os.sync()
    return fresh_process(MODULE, "engine", source, folder / "state")["s"]


def engine_child(source: str, state: str) -> Figures:
    """Claim one job, run it, finish it."""
    queue, clock = Ours().open(state), SystemClock()
    settings = SettingsFile(StateDir(Path(state)).root / "config.toml")
    settings.read()
    attempts = Attempts(queue.store, settings, queue.store.launches.installation_id(), "bench", lambda: None)
    queue.store.jobs.enqueue(NewJob(source, "nas"), clock.now())
    began = time.perf_counter()
    job = queue.claim()
    assert job is not None
    outcome = attempts.run(job, TransferControl())
    assert isinstance(outcome, Completed), outcome
    now = clock.now()
    decision = decide_next(job.history, outcome, now, settle_s=settings.current.sync.settle_s)
    assert decision is not None
    assert queue.store.jobs.finish(job, decision, now)
    took = time.perf_counter() - began
    queue.close()
    return {"s": took}


CONTESTANTS: Final = {
    REFERENCE: pair,
    COMMAND_LINE: command_line,
    FAST_HASH: pair_with_openssl,
    ENGINE: engine,
    PLAIN_COPY: plain_copy,
}


def run(options: argparse.Namespace) -> None:
    """Run the rounds and write the results."""
    scratch = Scratch("copy")
    result = Run("Copy and verify")
    for name, write in TREES.items():
        if options.only and options.only not in name:
            continue
        source = scratch.new() / "run"
        source.mkdir()
        write(source)
        trees.warm(source)
        for number, who in rounds(list(CONTESTANTS), options.rounds):
            folder = scratch.new()
            result.add(who, number, {f"{name}, s": CONTESTANTS[who](source, folder)})
            trees.empty(folder)
        for reference, shown in ((REFERENCE, "sha256sum"), (FAST_HASH, "openssl")):
            base, ours = (result.values(f"{name}, s", who) for who in (reference, COMMAND_LINE))
            for number, value in base.items():
                result.add(COMMAND_LINE, number, {f"{name}, ratio to rsync and {shown}": ours[number] / value})
    result.save("copy", {"": REFERENCE})
    scratch.remove()


if __name__ == "__main__":
    main(MODULE, run, {"engine": engine_child})

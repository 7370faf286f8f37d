"""The queue: enqueue, claim and finish, the drain predicate, claims beside a long history, recovery after a crash."""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.adapter import Ours, OursWholeLife
from benchmarks.bare import Bare, BareBundled, BareLogged
from benchmarks.measure import Figures, Run, Scratch, fresh_process, main, percentile, rounds

MODULE: Final = "benchmarks.queue"
JOBS: Final = 800
WARM_UP: Final = 20
LOOKS: Final = 300
HISTORY: Final = 1_000_000
PENDING: Final = 100_000
IN_FLIGHT: Final = 100_000

CONTESTANTS: Final = {queue.name: queue for queue in (Bare, BareBundled, BareLogged, Ours, OursWholeLife)}
MICROSECONDS: Final = 1e6


def timed(act: Callable[[int], object], count: int) -> list[float]:
    """Return how long each of `count` calls took."""
    took: list[float] = []
    for number in range(count):
        began = time.perf_counter()
        act(number)
        took.append(time.perf_counter() - began)
    return took


def basic(who: str, path: str) -> Figures:
    """Enqueue one by one, each durable; then claim and finish one by one."""
    queue = CONTESTANTS[who]().open(path)
    timed(queue.enqueue, WARM_UP)
    enqueued = timed(lambda number: queue.enqueue(WARM_UP + number), JOBS)
    if isinstance(queue, Ours):
        held = queue.claim()

        def step(_: int) -> None:
            nonlocal held
            assert held is not None
            held = queue.complete_claim(held)
    else:

        def step(_: int) -> None:
            job = queue.claim()
            assert job is not None
            queue.complete(job)

    timed(step, WARM_UP)
    finished = timed(step, JOBS - WARM_UP)
    queue.close()
    return {
        "enqueue, jobs/s": len(enqueued) / sum(enqueued),
        "enqueue p50, µs": percentile(enqueued, 0.5) * MICROSECONDS,
        "claim + finish, jobs/s": len(finished) / sum(finished),
        "claim + finish p50, µs": percentile(finished, 0.5) * MICROSECONDS,
    }


def predicate(who: str, path: str) -> Figures:
    """Ask whether anything is in flight."""
    queue = Ours.open_noresume(path) if issubclass(CONTESTANTS[who], Ours) else CONTESTANTS[who]().open(path)
    assert queue.inflight() == 8
    took = timed(lambda _: queue.inflight(), LOOKS)
    queue.close()
    return {"p50, µs": percentile(took, 0.5) * MICROSECONDS, "p99, µs": percentile(took, 0.99) * MICROSECONDS}


def claim(who: str, path: str) -> Figures:
    """Claim, beside what is pending and what is long finished."""
    queue = CONTESTANTS[who]().open(path)
    for _ in range(WARM_UP):
        queue.claim()
    took = timed(lambda _: queue.claim(), LOOKS)
    queue.close()
    return {"p50, µs": percentile(took, 0.5) * MICROSECONDS, "p99, µs": percentile(took, 0.99) * MICROSECONDS}


def recover(who: str, path: str) -> Figures:
    """Open what a crash left behind; the imports are start-up's bill."""
    CONTESTANTS[who]().open(f"{path}-warm").close()
    began = time.perf_counter()
    CONTESTANTS[who].recover(path)
    return {"s": time.perf_counter() - began}


def seed(who: str, path: str, finished: str, running: str, pending: str) -> Figures:
    """Fill a queue; nothing here is a figure."""
    CONTESTANTS[who].seed(path, int(finished), int(running), int(pending))
    return {}


class Seeded:
    """Filled queues, made once for each contestant."""

    def __init__(self, scratch: Scratch) -> None:
        """Keep them in `scratch`."""
        self._scratch = scratch
        self._made: dict[tuple[str, int, int, int], Path] = {}

    def get(self, who: str, finished: int, running: int, pending: int) -> Path:
        """Return the folder of the filled queue, the same each time."""
        key = (who, finished, running, pending)
        if key not in self._made:
            path = self._scratch.new()
            fresh_process(MODULE, "seed", who, path, finished, running, pending)
            self._made[key] = path
        return self._made[key]

    def copy(self, who: str, finished: int, running: int, pending: int) -> Path:
        """Return a copy that may be changed; nobody has the original open."""
        path = self._scratch.new()
        shutil.copytree(self.get(who, finished, running, pending), path, dirs_exist_ok=True)
        os.sync()
        return path


def predicates(result: Run, seeded: Seeded, who: list[str], count: int) -> None:
    """Measure the predicate beside no history and beside a long one, and what the history costs."""
    what = {size: f"predicate, {size:,} finished" for size in (0, HISTORY)}
    for number, (size, name) in rounds([(size, name) for size in what for name in who], count):
        figures = fresh_process(MODULE, "predicate", name, seeded.get(name, size, 8, 0))
        result.add(name, number, {f"{what[size]}, {key}": value for key, value in figures.items()})
    for name in who:
        none, long = (result.values(f"{text}, p50, µs", name) for text in what.values())
        for number, value in none.items():
            result.add(name, number, {"predicate, 1,000,000 finished against none": long[number] / value})


def run(options: argparse.Namespace) -> None:
    """Run the rounds and write the results."""
    scratch = Scratch("queue")
    seeded = Seeded(scratch)
    result = Run("Queue")
    wanted = options.only.split(",") if options.only else ["basic", "predicate", "claim", "recover"]
    comparable = [name for name in CONTESTANTS if name != OursWholeLife.name]
    if "basic" in wanted:
        for number, who in rounds(list(CONTESTANTS), options.rounds):
            result.add(who, number, fresh_process(MODULE, "basic", who, scratch.new()))
    if "predicate" in wanted:
        predicates(result, seeded, comparable, options.rounds)
    if "claim" in wanted:
        for number, who in rounds(comparable, options.rounds):
            figures = fresh_process(MODULE, "claim", who, seeded.get(who, HISTORY, 0, PENDING))
            result.add(who, number, {f"claim, 100,000 pending, 1,000,000 finished, {k}": v for k, v in figures.items()})
    if "recover" in wanted:
        for number, who in rounds(comparable, options.rounds):
            figures = fresh_process(MODULE, "recover", who, seeded.copy(who, 0, IN_FLIGHT, 0))
            result.add(who, number, {f"recovery of 100,000 in flight, {key}": value for key, value in figures.items()})
    result.save("queue", {"": Bare.name})
    scratch.remove()


if __name__ == "__main__":
    main(MODULE, run, {"basic": basic, "predicate": predicate, "claim": claim, "recover": recover, "seed": seed})

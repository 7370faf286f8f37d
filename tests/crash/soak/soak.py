"""The soak: launches that end in every way, under clients and faults, for as long as wanted; then all is counted.

All that is drawn by lot comes from one seed; what the processes of a busy machine make of it does not repeat exactly.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Final

from tests.crash.soak.book import Book
from tests.crash.soak.clients import CLIENTS, Client
from tests.crash.soak.endings import Endings
from tests.crash.soak.faults import Faults
from tests.crash.soak.gauges import WAL_LIMIT_BYTES, LogWatch, Sample, growth, sample
from tests.crash.soak.reckoning import Reckoning
from tests.crash.soak.scene import Scene
from tests.support.program import MIB, until

from exlab_wizard.store.sqlite.values import whole

LONG_EVERY_SECONDS: Final = 150.0
LONG_SECONDS: Final = 30.0
LONG_SHARE: Final = 1 / 30
"""Of the whole, where that is longer: in a soak of an hour some launches live for minutes."""
TALLY_SECONDS: Final = 90.0
START_SECONDS: Final = 120.0
"""A machine that is busy with other things takes its time; only a start that hangs is a fault."""
LAST_PATIENCE_SECONDS: Final = 240.0
SWEEP_SECONDS: Final = 32.0
"""By then the first look of the maintenance has removed what cancelled jobs left."""
LEAST_ENDINGS: Final = 3
BUSY: Final = (
    "SELECT count(*) FROM sync_jobs"
    " WHERE state IN ('running', 'verifying') OR (state = 'queued' AND not_before IS NULL)"
)
NUDGE: Final = "UPDATE sync_jobs SET not_before = NULL, waiting_on = NULL WHERE state = 'queued'"


@dataclass(frozen=True, slots=True)
class Report:
    """What a soak found: what was counted, and the figures in the order in which they are shown."""

    counts: Counter[str]
    figures: dict[str, str | int | float]
    violations: list[str]


class Soak:
    """One soak on one scene."""

    def __init__(self, scene: Scene, seed: int, seconds: float) -> None:
        self._scene, self._seed, self._seconds = scene, seed, seconds
        self._book = Book(scene.home / "soak.log")
        self._stop = threading.Event()
        self._stop_watch = threading.Event()
        self._pause = threading.Event()
        self._chance = self._lot("conductor")
        self._endings = Endings(scene, self._book, self._lot("endings"))
        self._reckoning = Reckoning(scene, self._book)
        self._samples: list[Sample] = []
        self._launch = 0

    def _lot(self, who: str) -> random.Random:
        return random.Random(f"{self._seed}/{who}")  # noqa: S311 - what happens when, no secret

    def run(self) -> Report:
        """Soak, count, and return what was found."""
        began = time.monotonic()
        self._start()
        self._scene.process.terminate()
        self._scene.wait()
        scene, book = self._scene, self._book
        clients = [Client(n, scene, book, self._lot(f"client {n}"), self._stop) for n in range(1, CLIENTS + 1)]
        faults = Faults(scene, book, self._lot("faults"), self._stop)
        watch = LogWatch(scene.database, self._stop_watch)
        threads = [watch.thread, faults.thread, *(client.thread for client in clients)]
        for thread in threads:
            thread.start()
        try:
            self._launch_again_and_again(began + self._seconds, clients, faults)
            self._stop.set()
            for thread in threads[1:]:
                thread.join()
            self._finish()
        finally:
            self._stop.set()
            self._stop_watch.set()
            for thread in threads:
                thread.join()
        return self._report(time.monotonic() - began, watch.largest)

    def _launch_again_and_again(self, end: float, clients: list[Client], faults: Faults) -> None:
        tallied, lived_long, endings = time.monotonic(), -LONG_EVERY_SECONDS, 0
        while (time.monotonic() < end or endings < LEAST_ENDINGS) and not self._book.violations:
            endings += 1
            if self._chance.random() < 0.08:
                self._book.count("launches")
                self._endings.kill_starting()
            else:
                self._start()
                if time.monotonic() - lived_long > LONG_EVERY_SECONDS:
                    self._live_long(clients, faults)
                    lived_long = time.monotonic()
                else:
                    self._live()
                while not self._endings.end():
                    self._live()
            self._reckoning.after_launch(self._scene.process.wait())
            self._reckoning.retry_failed()
            if time.monotonic() - tallied > TALLY_SECONDS:
                faults.pause()
                self._reckoning.check_database()
                self._reckoning.tally()
                faults.may_go_on.set()
                tallied = time.monotonic()

    def _start(self) -> bool:
        """Start the program; return whether it began in safe mode."""
        self._book.count("launches")
        self._book.note("launch")
        process = self._scene.start(ready=False)
        until(lambda: "\n" in self._scene.said() or process.poll() is not None, START_SECONDS, "the program to start")
        self._scene.until_ready()
        said = json.loads(self._scene.said())
        self._launch = said["launch_id"]
        if said["safe_mode"]:
            self._book.count("launches in safe mode")
        return bool(said["safe_mode"])

    def _live(self) -> None:
        self._pause.wait(self._chance.choice([0.1, 0.5, 1, 2, 4]) * self._chance.random())
        if self._chance.random() < 0.05:
            self._book.count("second starts")
            done = self._scene.call("run", "--headless")
            if done.returncode or "already running" not in done.stdout:
                self._book.violated(f"a second start: {done.returncode} {done.stdout} {done.stderr}")

    def _live_long(self, clients: list[Client], faults: Faults) -> None:
        """Live through ordinary work, then through none, and see what the process takes; and once more."""
        seconds = max(min(LONG_SECONDS, self._seconds / 6), self._seconds * LONG_SHARE) / 2
        for _ in range(2):
            self._pause.wait(seconds)  # time: a part of the soak's own length
            faults.pause()
            for client in clients:
                client.may_go_on.clear()
            deadline = time.monotonic() + min(LONG_SECONDS, self._seconds / 6)
            while self._scene.number(BUSY) and time.monotonic() < deadline:
                self._pause.wait(0.1)  # time: between two looks
            if not self._scene.number(BUSY):
                self._sample()
            for client in clients:
                client.may_go_on.set()
            faults.may_go_on.set()

    def _sample(self) -> None:
        self._samples.append(sample(self._launch, self._scene.process.pid))
        self._book.note(str(self._samples[-1]))

    def _finish(self) -> None:
        """With clients and faults gone, everything that is pending arrives, and the program quits drained."""
        scene, reckoning = self._scene, self._reckoning
        scene.set_limit(None)
        if scene.process.poll() is None:
            scene.process.kill()
            reckoning.after_launch(scene.process.wait())
        if self._start():
            # The soak has killed it three times within seconds; whoever did that in a laboratory would go on by hand.
            scene.call("resume")

        def all_arrived() -> bool:
            reckoning.retry_failed()
            scene.query(NUDGE)
            states = reckoning.states()
            return not set(states) - {"verified", "cancelled"}

        began = time.monotonic()
        try:
            until(all_arrived, LAST_PATIENCE_SECONDS)
        except AssertionError:
            left = [job for job in reckoning.jobs() if job.state not in {"verified", "cancelled"}]
            self._book.violated(f"still pending after {LAST_PATIENCE_SECONDS:g} s: {left}\n{scene.log()[-2000:]}")
        if self._seconds > 2 * SWEEP_SECONDS:
            self._pause.wait(max(0.0, SWEEP_SECONDS - (time.monotonic() - began)))  # time: sweeps have a distance
        self._sample()
        scene.process.terminate()
        reckoning.after_launch(scene.wait())
        reckoning.check_database()
        reckoning.tally(last=True)

    def _report(self, took: float, largest_wal: int) -> Report:
        book, samples = self._book, self._samples
        for sentence in growth(samples):
            book.violated(sentence)
        if largest_wal > WAL_LIMIT_BYTES:
            book.violated(f"the write-ahead log grew to {largest_wal} bytes")
        ends = self._scene.query("SELECT end_reason, count(*) FROM launches GROUP BY 1 ORDER BY 1")
        figures: dict[str, str | int | float] = {"seed": self._seed, "seconds": round(took, 1)}
        figures |= {f"launches that ended {reason!s}": whole(number) for reason, number in ends}
        figures |= dict(sorted(book.counts.items()))
        if not self._scene.has_small:
            figures["destination full"] = "left out: a file system of its own may not be mounted here"
        figures["most bytes sent again after one kill"] = self._reckoning.most_sent_again
        figures["longest quit, s"] = round(self._endings.longest_quit_s, 2)
        figures["largest write-ahead log, MiB"] = round(largest_wal / MIB, 1)
        for what, one in (("first", samples[0]), ("last", samples[-1])):
            figures[f"idle, {what}: memory MiB / descriptors / threads"] = (
                f"{one.rss / MIB:.1f} / {one.descriptors} / {one.threads} (launch {one.launch})"
            )
        return Report(book.counts, figures, book.violations)

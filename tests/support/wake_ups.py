"""What a process does while nothing happens, counted by the kernel: events in its life that take the place of time."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from tests.support.program import until

LOOKS: Final = 100
_BETWEEN_LOOKS_SECONDS: Final = 0.025


@dataclass(frozen=True)
class Lived:
    """What the threads of a process did while the test woke up `LOOKS` times."""

    wake_ups: int
    restless: set[int]
    """Threads that were asleep at no look."""


def rounds(pid: int, times: int = 2) -> None:
    """Return when the main thread, which checks the others once a second, has woken up `times` more."""
    process = psutil.Process(pid)

    def woken() -> int:
        """Return how often: the main thread on Linux, all threads elsewhere."""
        return int(process.num_ctx_switches().voluntary)

    before = woken()
    until(lambda: woken() - before >= times, what="the main thread to wake up")


def lived(pid: int) -> Lived:
    """Watch a process on Linux for `LOOKS` wake-ups of this thread: both are late on a machine that is busy."""
    pause, asleep = threading.Event(), set[int]()
    before = now = _threads(pid)
    for _ in range(LOOKS):
        pause.wait(_BETWEEN_LOOKS_SECONDS)  # time: it is the wake-up that is counted
        now = _threads(pid)
        asleep |= {thread for thread, (state, _) in now.items() if state != "R"}
    woken = sum(times - before.get(thread, ("", 0))[1] for thread, (_, times) in now.items())
    return Lived(woken, {*now} - asleep)


def _threads(pid: int) -> dict[int, tuple[str, int]]:
    """Return the state of each thread, and how often it has gone to sleep."""
    found: dict[int, tuple[str, int]] = {}
    for thread in Path(f"/proc/{pid}/task").iterdir():
        told = (thread / "status").read_text("ascii", errors="replace")
        values = dict(line.split(":\t", 1) for line in told.splitlines())
        found[int(thread.name)] = (values["State"].strip()[0], int(values["voluntary_ctxt_switches"]))
    return found

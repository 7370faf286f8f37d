"""Runs a program that is killed or suspended when it reaches a point: `python -m exlab_wizard.testing.victim`.

Only `Lab` starts it. It notes every point that is reached in a file, and its act at the chosen point just before the
act: so a test can prove that the kill landed, or name the points that were reached.
"""

from __future__ import annotations

import itertools
import os
import runpy
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from exlab_wizard.crash_points import Point, watch

_POLL_INTERVAL_SECONDS: Final = 0.01


class Notes:
    """The file between a victim and its lab, made at the first event; one line for each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._release = path.with_name(path.name + ".release")

    def write(self, word: str, point: Point) -> None:
        """Append a line, which stays when the writer is killed."""
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(fd, f"{word} {point}\n".encode())
        os.close(fd)

    def lines(self) -> list[tuple[str, Point]]:
        """Return the events in order: a word (`reached`, `kill` or `hold`) and the point."""
        try:
            lines = self._path.read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [(word, Point(point)) for word, point in (line.split() for line in lines)]

    def release(self) -> None:
        """Let the suspended thread continue."""
        self._release.touch()

    def wait_for_release(self) -> None:
        """Return when the lab releases the thread."""
        turn = threading.Event()
        while not self._release.exists():
            turn.wait(_POLL_INTERVAL_SECONDS)


def trap(notes: Notes, act: str, chosen: Point, nth: int) -> Callable[[Point], None]:
    """Return a listener that notes each point and does `act`, `kill` or `hold`, at the nth time of `chosen`."""
    turn, counts = threading.Lock(), itertools.count(1)

    def listen(point: Point) -> None:
        with turn:
            notes.write("reached", point)
            springs = point is chosen and next(counts) == nth
            if springs:
                notes.write(act, point)
        if springs and act == "kill":
            kill()
        elif springs:
            notes.wait_for_release()

    return listen


def kill() -> None:
    """Send SIGKILL to this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(arguments: Sequence[str]) -> None:
    """Set the trap, then run a module as `python -m` would: NOTES ACT POINT NTH MODULE [ARGUMENT…]."""
    notes, act, point, nth, module, *rest = arguments
    watch(trap(Notes(Path(notes)), act, Point(point), int(nth)))
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])

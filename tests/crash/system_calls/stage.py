"""A state dir, a destination and runs, on which the commands of the nursery play, and one of them may be killed.

Between a kill and the relaunch nothing here opens the database: who closes it last would tidy up what the kill left.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tests.crash.system_calls.crash_points import Aim, Point, read_points
from tests.support.nursery import COMMAND_LINE, Child, Nursery
from tests.support.program import PATIENCE_SECONDS, Program, until

from exlab_wizard.paths import StateDir

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
ENOUGH: Final = 2 << 30


@dataclass(frozen=True, slots=True)
class Output:
    """Where one child writes; it outlives the kill."""

    stdout: Path
    stderr: Path

    def said(self) -> str:
        """Return what it wrote to standard output so far."""
        return self.stdout.read_text("utf-8")

    def logged(self) -> str:
        """Return what it wrote to standard error so far."""
        return self.stderr.read_text("utf-8", errors="replace")


@dataclass(frozen=True, slots=True)
class Process:
    """A child and its output."""

    child: Child
    output: Output

    def await_line(self, text: str) -> bool:
        """Return True when it has written `text`, False when it ended before."""

        def settled() -> bool:
            return self.has_ended or text in self.output.said() + self.output.logged()

        until(settled, what=f"{text!r} in\n{self.output.logged()}")
        return not self.has_ended

    @property
    def has_ended(self) -> bool:
        """Whether it ended, of whatever."""
        return self.child.poll() is not None

    def interrupt(self) -> None:
        """Quit it as Ctrl-C does."""
        self.child.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Return how it ended; one that does not end is killed, and fails the test."""
        try:
            return self.child.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait(PATIENCE_SECONDS)
            msg = f"still running after {PATIENCE_SECONDS:g} s:\n{self.output.logged()}"
            raise AssertionError(msg) from None


@contextlib.contextmanager
def theatre() -> Iterator[Path]:
    """Lend a folder in memory where there is room for it, else on the disk.

    A kill never loses what was written, on whatever file system; a disk would only cost time.
    """
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH
    folder = Path(tempfile.mkdtemp(prefix="exlab-crash-", dir=MEMORY if roomy else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


class Stage(Program):
    """Everything that one scenario plays on. `aim` is where the next `aimed` command dies."""

    def __init__(self, home: Path, nursery: Nursery, runs: Path | None = None) -> None:
        """Make a fresh one in `home`; `runs` are somebody's whose files may not be written."""
        super().__init__(home)
        self.nursery = nursery
        self.runs = runs or home / "runs"
        self.aim: Aim | None = None
        self.entry = COMMAND_LINE
        """What runs where a command names nothing else."""
        self.acknowledged = 0
        """How many jobs somebody outside was told of."""
        self.marks: dict[str, int] = {}
        self._log = home / "points"
        self._processes = 0

    def copy_to(self, home: Path) -> Self:
        """Return a copy in `home`, which may hold an earlier one; the runs are shared."""
        shutil.rmtree(home, ignore_errors=True)
        copy = type(self)(home, self.nursery, self.runs)
        copy.entry = self.entry
        copy.take_from(self)
        return copy

    def take_from(self, other: Stage) -> None:
        """Replace state dir and destination by copies of another stage's."""
        for folder in (self.state, self.nas):
            shutil.rmtree(folder, ignore_errors=True)
        self.nas = self.home / other.nas.relative_to(other.home)
        for theirs, ours in ((other.state, self.state), (other.nas, self.nas)):
            if theirs.exists() and not ours.exists():
                shutil.copytree(theirs, ours, symlinks=True)
        if self.config.exists():
            text = self.config.read_text("utf-8").replace(str(other.home), str(self.home))
            self.config.write_text(text, encoding="utf-8")

    def launch(self, *arguments: str, entry: str = "") -> Process:
        """Start a command, or another `entry` that is told the state dir first; nothing kills it."""
        return self._launch(arguments, entry, {})

    def aimed(self, *arguments: str, entry: str = "") -> Process:
        """Start a command whose points are counted, or which is killed where `aim` says."""
        self._log.unlink(missing_ok=True)
        watched = "\n".join(str(folder) for folder in (self.state, self.nas, self.runs))
        where = {} if self.aim is None else self.aim.variables
        return self._launch(arguments, entry, {"CRASH_ROOTS": watched, "CRASH_LOG": str(self._log), **where})

    def _launch(self, arguments: tuple[str, ...], entry: str, more: dict[str, str]) -> Process:
        entry = entry or self.entry
        self._processes += 1
        output = Output(self.home / f"{self._processes}.out", self.home / f"{self._processes}.err")
        named = ["--state-dir", str(self.state)] if entry == COMMAND_LINE else [str(self.state)]
        child = self.nursery.start(
            [*named, *arguments],
            environment={**self.environment, **more},
            folder=self.home,
            stdout=output.stdout,
            stderr=output.stderr,
            entry=entry,
        )
        return Process(child, output)

    def do(self, *arguments: str, entry: str = "") -> str:
        """Run a command to its good end, and return what it said."""
        process = self.launch(*arguments, entry=entry)
        assert process.end() == 0, process.output.logged()
        return process.output.said()

    def mark(self, name: str) -> None:
        """Remember how many points there were by now."""
        self.marks[name] = len(self.points())

    def points(self) -> list[Point]:
        """Return the points of the last aimed command: all of them, or the one at which it was killed."""
        return read_points(self._log)

    def is_idle(self) -> bool:
        """Return whether every job is decided; not for a process that is to be killed, since it opens the database."""
        return not self.number("SELECT count(*) FROM sync_jobs WHERE state NOT IN ('verified', 'failed', 'cancelled')")

    def drive(self, process: Process, is_done: Callable[[], bool]) -> int:
        """Quit a launch when its server is up and it is done, or find it dead; return how it ended."""
        server = StateDir(self.state).server
        until(lambda: process.has_ended or (server.exists() and is_done()), what="the work to be done")
        process.interrupt()
        return process.end()

"""Progress of followed jobs: live bars on a terminal, a line for each change elsewhere, nothing for programs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from exlab_wizard.cli.terminal.output import say
from exlab_wizard.cli.terminal.words import details
from exlab_wizard.domain.job import IN_FLIGHT, JobState
from exlab_wizard.domain.text.amounts import about, number, plural, rate, size
from exlab_wizard.domain.text.names import visible
from exlab_wizard.domain.views import Job

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_RATE_WINDOW_SECONDS: Final = 5.0
_LONGEST_NAME: Final = 40


class Display:
    """Shows the progress of jobs; this base class shows nothing. Enter it before the first `show`."""

    def show(self, jobs: Sequence[Job]) -> None:
        """Show the present state of the jobs."""

    def __enter__(self) -> Self:
        """Enter."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the terminal."""


class LineDisplay(Display):
    """Prints one line for each change of a job."""

    def __init__(self) -> None:
        """Start with nothing printed."""
        self._printed: dict[object, tuple[object, ...]] = {}

    def show(self, jobs: Sequence[Job]) -> None:
        """Print the jobs that changed."""
        for job in jobs:
            seen = (job.state, job.waiting_on, job.error_kind, job.not_before)
            if self._printed.get(job.id) == seen:
                continue
            self._printed[job.id] = seen
            more = details(job)
            say(f"job {job.id} {job.run_path}: {job.state}{f' ({more})' if more else ''}")


class Rate:
    """Bytes per second over the last seconds."""

    def __init__(self) -> None:
        """Start without a sample."""
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, at: float, count: int) -> float | None:
        """Add a sample: `count` bytes moved by the time `at`. Return the rate, None while it is unknown."""
        samples = self._samples
        if samples and count < samples[-1][1]:
            samples.clear()
        samples.append((at, count))
        while len(samples) > 2 and at - samples[1][0] >= _RATE_WINDOW_SECONDS:  # noqa: PLR2004 - the window's two ends
            samples.popleft()
        elapsed = at - samples[0][0]
        return (count - samples[0][1]) / elapsed if elapsed > 0 else None


class LiveDisplay(Display):
    """Draws a bar for each job: files, bytes, rate, time left, state."""

    def __init__(self) -> None:
        """Prepare; drawing starts when it is entered."""
        self._progress = _bars()
        self._tasks: dict[object, TaskID] = {}
        self._rates: dict[object, Rate] = {}

    def __enter__(self) -> Self:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing; the last state stays on the screen."""
        self._progress.stop()

    def show(self, jobs: Sequence[Job]) -> None:
        """Redraw."""
        for job in jobs:
            key = job.id
            if key not in self._tasks:
                name = visible(job.run_path)
                short = name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"
                self._tasks[key] = self._progress.add_task(f"job {key} {short}", total=None, details="")
                self._rates[key] = Rate()
            moved = job.bytes_done + job.bytes_verified
            total = 2 * job.bytes_total
            details = visible(_details(job, self._rates[key].add(time.monotonic(), moved)))
            self._progress.update(self._tasks[key], completed=moved, total=total or None, details=details)


def _details(job: Job, speed: float | None) -> str:
    """Return the text beside the bar."""
    parts = [job.state.value]
    total = job.bytes_total
    if total:
        parts.append(f"{number(job.files_done)} of {plural(job.files_total, 'file')}")
        moved = job.bytes_verified if job.state is JobState.VERIFYING else job.bytes_done
        parts.append(f"{size(moved)} of {size(total)}")
    if speed and job.state in IN_FLIGHT:
        left = 2 * total - job.bytes_done - job.bytes_verified
        parts += [rate(speed), f"{about(left / speed)} left"]
    return " · ".join(filter(None, [*parts, details(job)]))


def _bars() -> Progress:
    from rich.console import Console  # noqa: PLC0415 - rich is loaded only where something is drawn
    from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415 - likewise

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[details]}", markup=False),
        console=Console(highlight=False),
        refresh_per_second=5,
    )

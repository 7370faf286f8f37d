"""Progress of followed jobs: live bars on a terminal, a line for each change elsewhere, nothing for programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeAlias

from exlab_wizard.cli.terminal.output import say
from exlab_wizard.cli.terminal.words import details, standing
from exlab_wizard.domain.job import IN_FLIGHT, JobState
from exlab_wizard.domain.text.amounts import about, number, plural, rate, size
from exlab_wizard.domain.text.jobs import STATES
from exlab_wizard.domain.text.names import visible
from exlab_wizard.domain.views import Job

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Show: TypeAlias = Callable[[Sequence[Job]], None]
_LONGEST_NAME: Final = 40


@contextmanager
def display(*, hidden: bool) -> Iterator[Show]:
    """Yield the function that shows jobs: as bars on a terminal, else as lines; with `hidden` it shows nothing."""
    if hidden:
        yield lambda _jobs: None
    elif sys.stdout.isatty():
        with _bars() as bars:
            yield _drawn(bars)
    else:
        yield _printed()


def _printed() -> Show:
    """Return a function that prints one line for each change of a job."""
    printed: dict[object, tuple[object, ...]] = {}

    def show(jobs: Sequence[Job]) -> None:
        for job in jobs:
            seen = (job.state, job.waiting_on, job.error_kind, job.not_before)
            if printed.get(job.id) != seen:
                printed[job.id] = seen
                say(f"job {job.id} {job.run_path}: {standing(job)}")

    return show


def _drawn(bars: Progress) -> Show:
    """Return a function that draws a bar for each job: files, bytes, rate, time left, state."""
    tasks: dict[object, TaskID] = {}

    def show(jobs: Sequence[Job]) -> None:
        for job in jobs:
            if job.id not in tasks:
                name = visible(job.run_path)
                short = name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"
                tasks[job.id] = bars.add_task(f"job {job.id} {short}", total=None, details="")
            task = tasks[job.id]
            bars.update(task, completed=job.bytes_done + job.bytes_verified, total=2 * job.bytes_total or None)
            bars.update(task, details=visible(_details(job, bars.tasks[task].speed)))

    return show


def _details(job: Job, speed: float | None) -> str:
    """Return the text beside the bar."""
    parts = [STATES[job.state]]
    total = job.bytes_total
    if total:
        parts.append(f"{number(job.files_done)} of {plural(job.files_total, 'file')}")
        moved = job.bytes_verified if job.state is JobState.VERIFYING else job.bytes_done
        parts.append(f"{size(moved)} of {size(total)}")
    if speed and job.state in IN_FLIGHT:
        left = 2 * total - job.bytes_done - job.bytes_verified
        parts += [rate(speed), f"{about(left / speed)} left"]
    return " · ".join(filter(None, dict.fromkeys([*parts, details(job)])))


def _bars() -> Progress:
    from rich.console import Console  # noqa: PLC0415 - rich is loaded only where something is drawn
    from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415 - likewise

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[details]}", markup=False),
        console=Console(highlight=False),
        refresh_per_second=5,
        speed_estimate_period=5.0,
    )

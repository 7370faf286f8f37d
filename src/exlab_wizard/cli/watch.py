"""`sync --wait`: follows jobs until each has its result.

If an application is running, this listens to its events, or polls the database if it does not answer; Ctrl-C stops
watching. If none is running, this process is the application until then, and Ctrl-C is a quit.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from exlab_wizard.cli.locations import Locations
from exlab_wizard.cli.remote import from_application, is_exact
from exlab_wizard.cli.terminal.display import Display, LineDisplay, LiveDisplay
from exlab_wizard.cli.terminal.output import complain, emit, note
from exlab_wizard.client import Client
from exlab_wizard.domain.codec import document_of
from exlab_wizard.domain.job import IN_FLIGHT, JobState
from exlab_wizard.domain.views import Job
from exlab_wizard.errors import ApplicationNotRunningError
from exlab_wizard.launch import Options
from exlab_wizard.process.instance_lock import InstanceHeldError, is_running
from exlab_wizard.process.open_store import opened
from exlab_wizard.store.store import Store

POLL_INTERVAL_SECONDS: Final = 0.2
_ALIVE_INTERVAL_SECONDS: Final = 1.0
_AWAY_TIMEOUT_SECONDS: Final = 2.0
INTERRUPTED: Final = 130
_GOOD: Final = frozenset({JobState.VERIFIED, JobState.CLEANED})
_FINAL: Final = _GOOD | {JobState.FAILED, JobState.CANCELLED}


@dataclass(frozen=True, slots=True)
class WatchedJobs:
    """The jobs to follow, and how to report on them."""

    ids: Sequence[int]
    as_json: bool

    def display(self) -> Display:
        """Return how to show progress: bars on a terminal, lines in a pipe, nothing for a program."""
        if self.as_json:
            return Display()
        return LiveDisplay() if sys.stdout.isatty() else LineDisplay()

    def read(self, store: Store) -> list[Job]:
        """Return the jobs as they are now."""
        found = [store.rows.job(number) for number in dict.fromkeys(self.ids)]
        return [job for job in found if job is not None]

    def report(self, jobs: Sequence[Job]) -> int:
        """Print the jobs that are not verified, one line for each, and return the exit status."""
        bad = [job for job in jobs if job.state not in _GOOD]
        if self.as_json:
            emit({"jobs": [document_of(job) for job in jobs]})
        for job in bad:
            reason = job.error_detail or job.state_reason or "it continues with the next `exlab-wizard run`"
            complain(f"job {job.id} {job.run_path} is {job.state}: {reason}")
        return 1 if bad else 0


def watch(locations: Locations, watched: WatchedJobs, *, running: bool) -> int:
    """Follow the jobs, as the application if none is running; return the exit status.

    Raises:
        ApplicationNotRunningError: the application ended before they did.
    """
    while not running:
        try:
            return become_application(locations, watched)
        except InstanceHeldError:
            # Another process is just starting it, or only checked whether it runs.
            running = is_running(locations.state_dir)
    return follow_application(locations, watched)


def follow_application(locations: Locations, watched: WatchedJobs) -> int:
    """Follow the jobs while another process works on them; return the exit status.

    Raises:
        ApplicationNotRunningError: the application ended before they did.
    """
    try:
        with watched.display() as display:
            jobs = from_application(locations, lambda client: _listen(client, watched, display))
            if jobs is None:
                jobs = _poll(locations, watched, display)
    except KeyboardInterrupt:
        note(f"stopped watching; the sync continues. Check it with: exlab-wizard jobs {watched.ids[0]}")
        return INTERRUPTED
    return watched.report(jobs)


def _listen(client: Client, watched: WatchedJobs, display: Display) -> list[Job] | None:
    """Show the jobs at each event of the application about one, and return them when all are final."""
    ids = set(watched.ids)
    for event in client.events(patience_s=_AWAY_TIMEOUT_SECONDS):
        if event.data.get("job_id", event.data.get("id")) not in ids and event.kind not in ("hello", "resync"):
            continue
        jobs = [client.job(number) for number in dict.fromkeys(watched.ids)]
        if not is_exact(jobs):
            return None
        display.show(jobs)
        if all(job.state in _FINAL for job in jobs):
            return jobs
    return None


def _poll(locations: Locations, watched: WatchedJobs, display: Display) -> list[Job]:
    """Show the jobs as the database has them, and return them when all are final."""
    checked = 0.0
    with opened(locations.state_dir) as store:
        while True:
            jobs = watched.read(store)
            display.show(jobs)
            if all(job.state in _FINAL for job in jobs):
                return jobs
            if time.monotonic() - checked > _ALIVE_INTERVAL_SECONDS:
                checked = time.monotonic()
                if not is_running(locations.state_dir):
                    raise ApplicationNotRunningError(_GONE)
            time.sleep(POLL_INTERVAL_SECONDS)


def become_application(locations: Locations, watched: WatchedJobs) -> int:
    """Be the application until the jobs are final or it is quit; return the exit status.

    Raises:
        InstanceHeldError: another process is the application; nothing was started.
    """
    from exlab_wizard import app  # noqa: PLC0415 - only the command that becomes the application loads it

    if not watched.as_json:
        note("exlab-wizard is not running; this command is the application until the sync is finished")
    options = Options(state_dir=locations.state_dir, config=locations.config, headless=True, window=False)
    with watched.display() as display:
        app.run(options, companion=lambda store: _accompany(store, watched, display))
    with opened(locations.state_dir) as store:
        jobs = watched.read(store)
    status = watched.report(jobs)
    # A worker may hang inside the operating system; the interpreter would wait for it.
    app.leave(status)
    return status


def _accompany(store: Store, watched: WatchedJobs, display: Display) -> int:
    """Show the jobs from inside the application until all are final, or a quit has left none in flight."""
    while True:
        jobs = watched.read(store)
        display.show(jobs)
        states = {job.state for job in jobs}
        if states <= _FINAL:
            return 0
        launch = store.launches.open_launch()
        leaving = launch is None or launch.draining_since is not None
        if leaving and states.isdisjoint(IN_FLIGHT):
            return 1
        time.sleep(POLL_INTERVAL_SECONDS)


_GONE: Final = "exlab-wizard was quit before the sync was finished; it continues with the next `exlab-wizard run`"

"""`sync --wait`: follows jobs until each has its result.

If an application is running, this listens to its events, or polls the database if it does not answer; Ctrl-C stops
watching. If none is running, this process acts as the application until then, and Ctrl-C is a quit.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from exlab_wizard.cli.options import Locations
from exlab_wizard.cli.remote import from_application, is_exact
from exlab_wizard.cli.terminal.display import Show, display
from exlab_wizard.cli.terminal.output import complain, emit, note
from exlab_wizard.client import Client
from exlab_wizard.domain.codec import document_of
from exlab_wizard.domain.job import IN_FLIGHT, JobState
from exlab_wizard.domain.text.jobs import STATES
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
_GONE: Final = "exlab-wizard was quit before the sync was finished; it continues with the next `exlab-wizard run`"


def watch(locations: Locations, ids: Sequence[int], *, as_json: bool, running: bool) -> int:
    """Follow the jobs, as the application if none is running; return the exit status.

    Raises:
        ApplicationNotRunningError: the application ended before they did.
    """
    while not running:
        try:
            return _become_application(locations, ids, as_json=as_json)
        except InstanceHeldError:
            # Another process is just starting it, or only checked whether it runs.
            running = is_running(locations.state_dir)
    return _follow_application(locations, ids, as_json=as_json)


def _follow_application(locations: Locations, ids: Sequence[int], *, as_json: bool) -> int:
    """Follow the jobs while another process works on them; return the exit status."""
    try:
        with display(hidden=as_json) as show:
            jobs = from_application(locations, lambda client: _listen(client, ids, show))
            if jobs is None:
                jobs = _poll(locations, ids, show)
    except KeyboardInterrupt:
        note(f"stopped watching; the sync continues. Check it with: exlab-wizard jobs {ids[0]}")
        return INTERRUPTED
    return _report(jobs, as_json=as_json)


def _listen(client: Client, ids: Sequence[int], show: Show) -> list[Job] | None:
    """Show the jobs at each event of the application about one, and return them when all are final."""
    for event in client.events(patience_s=_AWAY_TIMEOUT_SECONDS):
        if event.data.get("job_id", event.data.get("id")) not in ids and event.kind not in ("hello", "resync"):
            continue
        jobs = [client.job(number) for number in ids]
        if not is_exact(jobs):
            return None
        show(jobs)
        if all(job.state in _FINAL for job in jobs):
            return jobs
    return None


def _poll(locations: Locations, ids: Sequence[int], show: Show) -> list[Job]:
    """Show the jobs as the database has them, and return them when all are final."""
    checked = 0.0
    with opened(locations.state_dir) as store:
        while True:
            jobs = _read(store, ids)
            show(jobs)
            if all(job.state in _FINAL for job in jobs):
                return jobs
            if time.monotonic() - checked > _ALIVE_INTERVAL_SECONDS:
                checked = time.monotonic()
                if not is_running(locations.state_dir):
                    raise ApplicationNotRunningError(_GONE)
            time.sleep(POLL_INTERVAL_SECONDS)


def _become_application(locations: Locations, ids: Sequence[int], *, as_json: bool) -> int:
    """Be the application until the jobs are final or it is quit; return the exit status.

    Raises:
        InstanceHeldError: another process is the application; nothing was started.
    """
    from exlab_wizard import app  # noqa: PLC0415 - only the command that becomes the application loads it

    if not as_json:
        note("exlab-wizard is not running; this command acts as the application until the sync is finished")
    options = Options(state_dir=locations.state_dir, config=locations.config, headless=True, window=False)
    with display(hidden=as_json) as show:
        app.run(options, companion=lambda store: _accompany(store, ids, show))
    with opened(locations.state_dir) as store:
        status = _report(_read(store, ids), as_json=as_json)
    # A worker may hang inside the operating system; the interpreter would wait for it.
    app.leave(status)
    return status


def _accompany(store: Store, ids: Sequence[int], show: Show) -> int:
    """Show the jobs from inside the application until all are final, or a quit has left none in flight."""
    while True:
        jobs = _read(store, ids)
        show(jobs)
        states = {job.state for job in jobs}
        if states <= _FINAL:
            return 0
        launch = store.launches.open_launch()
        leaving = launch is None or launch.draining_since is not None
        if leaving and states.isdisjoint(IN_FLIGHT):
            return 1
        time.sleep(POLL_INTERVAL_SECONDS)


def _read(store: Store, ids: Sequence[int]) -> list[Job]:
    return [job for job in map(store.rows.job, ids) if job is not None]


def _report(jobs: Sequence[Job], *, as_json: bool) -> int:
    """Print the jobs that are not verified, one line for each, and return the exit status."""
    bad = [job for job in jobs if job.state not in _GOOD]
    if as_json:
        emit({"jobs": [document_of(job) for job in jobs]})
    for job in bad:
        reason = job.error_detail or job.state_reason or "it continues with the next `exlab-wizard run`"
        complain(f"job {job.id} {job.run_path}: {STATES[job.state]}: {reason}")
    return 1 if bad else 0

"""`jobs`: the list, and one job with its timeline."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import TYPE_CHECKING

import click

from exlab_wizard.cli.options import JOB_ID, LONGEST_ANSWER, LONGEST_PAGE, PAGE, Locations
from exlab_wizard.cli.remote import from_either, is_exact
from exlab_wizard.cli.terminal.output import emit, example, json_option, note, say
from exlab_wizard.cli.terminal.table import fields, table
from exlab_wizard.cli.terminal.words import details, moment, progress
from exlab_wizard.domain.codec import document_of
from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.views import Job, JobEvent
from exlab_wizard.errors import NoSuchJobError, UsageError

if TYPE_CHECKING:
    from exlab_wizard.client import Client
    from exlab_wizard.store.store import Store


@click.command(
    "jobs", epilog=example("exlab-wizard jobs --state failed", "exlab-wizard jobs 7", "exlab-wizard jobs --before 150")
)
@click.argument("job_id", metavar="[ID]", required=False, type=JOB_ID)
@click.option("--state", type=click.Choice([state.value for state in JobState]), help="Only jobs in this state.")
@click.option("--limit", type=click.IntRange(1, LONGEST_PAGE), help=f"Maximum number of jobs (default: {PAGE}).")
@click.option("--before", metavar="ID", type=JOB_ID, help="Only jobs with a smaller id: the next page.")
@json_option
@click.pass_obj
def command(  # noqa: PLR0913 - one parameter for each option
    locations: Locations, *, job_id: int | None, state: str | None, limit: int | None, before: int | None, as_json: bool
) -> None:
    """List sync jobs, the newest first, or show one job with its timeline."""
    if job_id is not None:
        if state or limit or before:
            raise UsageError("give either the ID of one job, or --state, --limit and --before for a list; not both")
        _one(locations, job_id, as_json=as_json)
        return
    wanted = limit or PAGE
    found = _page(locations, wanted, before, JobState(state) if state else None)
    if as_json:
        emit([document_of(job) for job in found])
    elif not found:
        say("no matching jobs" if state or before else "no jobs yet; queue one with: exlab-wizard sync PATH")
    else:
        table(
            ("id", "state", "run", "to", "progress", ""),
            [(job.id, job.state, job.run_path, job.destination, progress(job), details(job)) for job in found],
        )
        if len(found) == wanted:
            note(f"older jobs: exlab-wizard jobs --before {found[-1].id}")


def _page(locations: Locations, limit: int, before: int | None, state: JobState | None) -> list[Job]:
    def request(client: Client) -> list[Job] | None:
        if limit > LONGEST_ANSWER:
            return None
        jobs = client.jobs(state=state, limit=limit, before=before)
        return jobs if is_exact(jobs) else None

    return from_either(locations, request, lambda store: store.rows.jobs(limit=limit, before=before, in_state=state))


def _with_events(locations: Locations, job_id: int) -> tuple[Job, list[JobEvent]]:
    """Return a job and everything that happened to it, the oldest first."""

    def request(client: Client) -> tuple[Job, list[JobEvent]] | None:
        job, events = client.job(job_id), client.job_events(job_id)
        return (job, events) if is_exact([job, *events]) else None

    def read(store: Store) -> tuple[Job, list[JobEvent]]:
        job = store.rows.job(job_id)
        if job is None:
            raise NoSuchJobError(job_id)
        return job, store.rows.events(job_id)

    return from_either(locations, request, read)


def _one(locations: Locations, job_id: int, *, as_json: bool) -> None:
    job, events = _with_events(locations, job_id)
    if as_json:
        emit({**document_of(job), "events": [document_of(event) for event in events]})
        return
    say(f"job {job.id}: {job.state}")
    fields(
        [
            (name.replace("_", " "), moment(value) if isinstance(value, datetime) else value)
            for name, value in dataclasses.asdict(job).items()
            if name not in ("id", "state") and value is not None
        ]
    )
    if more := details(job):
        say(f"  {more}")
    say()
    table(
        ("at", "from", "to", "why", "detail"),
        [(moment(e.at), e.from_state, e.to_state, e.reason, e.detail) for e in events],
    )

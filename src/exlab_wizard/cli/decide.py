"""`retry` and `cancel`: an operator's decision about jobs. All ids are decided in one transaction, or none."""

from __future__ import annotations

import click

from exlab_wizard.cli.context import Place
from exlab_wizard.cli.jobs import JOB_ID, no_such_job
from exlab_wizard.cli.output import emit, example, json_option, note, say
from exlab_wizard.domain.job import JobState, legal_moves
from exlab_wizard.errors import RefusedError, StoreError
from exlab_wizard.runtime.access import opened
from exlab_wizard.runtime.instance import is_running
from exlab_wizard.store.jobs import CANCEL, RETRY, STATE_OF
from exlab_wizard.store.statement import Statement


@click.command("retry", epilog=example("exlab-wizard retry 7", "exlab-wizard retry 7 8 9"))
@click.argument("ids", nargs=-1, required=True, metavar="ID...", type=JOB_ID)
@json_option
@click.pass_obj
def retry(place: Place, *, ids: tuple[int, ...], as_json: bool) -> None:
    """Queue failed jobs again, with fresh budgets; what was sent already is not sent again.

    Mend what the job complains about first: `exlab-wizard jobs ID` shows it. If one of the jobs is not failed, nothing
    is changed and the status is 4.
    """
    try:
        _decide(place, ids, RETRY, JobState.QUEUED, only_from=JobState.FAILED)
    except StoreError as error:
        if "UNIQUE" not in str(error):
            raise
        msg = "the same run is pending for the same destination again, in another job; nothing was changed"
        raise RefusedError(msg) from error
    _tell(ids, "queued", "queued again", as_json=as_json)
    if not is_running(place.state_dir):
        note("exlab-wizard is not running: they start with the next `exlab-wizard run`")


@click.command("cancel", epilog=example("exlab-wizard cancel 7"))
@click.argument("ids", nargs=-1, required=True, metavar="ID...", type=JOB_ID)
@json_option
@click.pass_obj
def cancel(place: Place, *, ids: tuple[int, ...], as_json: bool) -> None:
    """Cancel jobs that are not finished; a running copy stops within a second. The run itself is not touched.

    If one of the jobs cannot be cancelled any more, nothing is changed and the status is 4.
    """
    _decide(place, ids, CANCEL, JobState.CANCELLED)
    _tell(ids, "cancelled", "cancelled", as_json=as_json)


def _decide(
    place: Place, ids: tuple[int, ...], statement: Statement, target: JobState, only_from: JobState | None = None
) -> None:
    with opened(place.state_dir) as store, store.database.transaction() as transaction:
        for job_id in dict.fromkeys(ids):
            rows = transaction.run(STATE_OF, {"job": job_id})
            if not rows:
                raise no_such_job(job_id)
            state = JobState(str(rows[0][0]))
            allowed = state is only_from if only_from else target in legal_moves(state)
            if not allowed:
                raise _refusal(job_id, state, target)
            transaction.change(statement, {"job": job_id})


def _refusal(job_id: int, state: JobState, target: JobState) -> RefusedError:
    # Only an operator's moves are of use to the reader; a worker's are not.
    possible = [f"`exlab-wizard cancel {job_id}`"] if JobState.CANCELLED in legal_moves(state) else []
    if state is JobState.FAILED:
        possible.append(f"`exlab-wizard retry {job_id}`")
    verb = "retried" if target is JobState.QUEUED else "cancelled"
    can = f"possible: {', '.join(possible)}" if possible else "nothing is left to decide about it"
    return RefusedError(f"job {job_id} is {state} and cannot be {verb}; {can}. Nothing was changed.")


def _tell(ids: tuple[int, ...], state: str, done: str, *, as_json: bool) -> None:
    if as_json:
        emit([{"id": job_id, "state": state} for job_id in dict.fromkeys(ids)])
        return
    for job_id in dict.fromkeys(ids):
        say(f"job {job_id} {done}")

"""`retry` and `cancel`: a decision about jobs. All of them are decided in one transaction, or none.

The running application decides about one job; several at once go to the database, which takes them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from exlab_wizard.cli.options import JOB_ID, Locations
from exlab_wizard.cli.remote import from_application
from exlab_wizard.cli.terminal.output import emit, example, json_option, note, say
from exlab_wizard.domain.job import TARGETS, JobState, OperatorMove

if TYPE_CHECKING:
    from exlab_wizard.client import Client

job_ids = click.argument("ids", nargs=-1, required=True, metavar="ID...", type=JOB_ID)


@click.command("retry", epilog=example("exlab-wizard retry 7", "exlab-wizard retry 7 8 9"))
@job_ids
@json_option
@click.pass_obj
def command(locations: Locations, *, ids: tuple[int, ...], as_json: bool) -> None:
    """Queue failed jobs again with fresh retry budgets; bytes that were already sent are not sent again.

    Fix the cause first: `exlab-wizard jobs ID` shows the error. If one of the jobs has not failed, nothing is changed
    and the exit status is 4.
    """
    if not _decide(locations, ids, OperatorMove.RETRY, "queued again", as_json=as_json):
        note("exlab-wizard is not running; the jobs start with the next `exlab-wizard run`")


@click.command("cancel", epilog=example("exlab-wizard cancel 7"))
@job_ids
@json_option
@click.pass_obj
def cancel(locations: Locations, *, ids: tuple[int, ...], as_json: bool) -> None:
    """Cancel unfinished or failed jobs; a running copy stops within a second. The run's folder is not touched.

    A job that was cancelled before stays as it is. If one can no longer be cancelled, nothing is changed and the exit
    status is 4.
    """
    _decide(locations, ids, OperatorMove.CANCEL, "cancelled", as_json=as_json)


def _decide(locations: Locations, ids: Sequence[int], move: OperatorMove, done: str, *, as_json: bool) -> bool:
    """Make the move on each job, print it as `done`, and return whether the application runs."""
    ids = list(dict.fromkeys(ids))
    may_be_done = False

    def request(client: Client) -> dict[int, JobState] | None:
        nonlocal may_be_done
        if len(ids) > 1:
            return None
        from exlab_wizard.client import UnreachableError  # noqa: PLC0415 - loaded by now, since there is a client

        was = client.job(ids[0]).state  # only for the words: the application decides
        try:
            client.call("POST", f"/jobs/{ids[0]}/{move}", repeat=False)
        except UnreachableError as error:
            may_be_done = error.sent
            raise
        return {ids[0]: was}

    decided = from_application(locations, request)
    running = decided is not None
    if decided is None:
        from exlab_wizard.process.instance_lock import is_running  # noqa: PLC0415 - the application answers most calls
        from exlab_wizard.process.open_store import opened  # noqa: PLC0415 - likewise

        with opened(locations.state_dir) as store:
            decided = store.jobs.decide(ids, move, repeated=may_be_done)
        running = is_running(locations.state_dir)
    if as_json:
        emit([{"id": job_id, "state": TARGETS[move].value} for job_id in ids])
    else:
        for job_id, was in decided.items():
            again = was is JobState.CANCELLED and not may_be_done
            say(f"job {job_id} {'was already cancelled' if again else done}")
    return running

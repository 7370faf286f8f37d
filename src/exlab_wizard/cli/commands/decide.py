"""`retry` and `cancel`: an operator's decision about jobs. All ids are decided in one transaction, or none.

The running application decides about one; several at once are for the database, which takes them together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from exlab_wizard.cli.commands.jobs import JOB_ID
from exlab_wizard.cli.context import Place
from exlab_wizard.cli.remote import from_application
from exlab_wizard.cli.terminal.output import emit, example, json_option, note, say
from exlab_wizard.domain.job import JobState

if TYPE_CHECKING:
    from exlab_wizard.client import Client

_VERBS: Final[dict[JobState, str]] = {JobState.QUEUED: "retry", JobState.CANCELLED: "cancel"}


@click.command("retry", epilog=example("exlab-wizard retry 7", "exlab-wizard retry 7 8 9"))
@click.argument("ids", nargs=-1, required=True, metavar="ID...", type=JOB_ID)
@json_option
@click.pass_obj
def retry(place: Place, *, ids: tuple[int, ...], as_json: bool) -> None:
    """Queue failed jobs again, with fresh budgets; what was sent already is not sent again.

    Mend what the job complains about first: `exlab-wizard jobs ID` shows it. If one of the jobs is not failed, nothing
    is changed and the status is 4.
    """
    running = _decide(place, ids, JobState.QUEUED)
    _tell(ids, "queued", "queued again", as_json=as_json)
    if not running:
        note("exlab-wizard is not running: they start with the next `exlab-wizard run`")


@click.command("cancel", epilog=example("exlab-wizard cancel 7"))
@click.argument("ids", nargs=-1, required=True, metavar="ID...", type=JOB_ID)
@json_option
@click.pass_obj
def cancel(place: Place, *, ids: tuple[int, ...], as_json: bool) -> None:
    """Cancel jobs that are not finished; a running copy stops within a second. The run itself is not touched.

    If one of the jobs cannot be cancelled any more, nothing is changed and the status is 4.
    """
    _decide(place, ids, JobState.CANCELLED)
    _tell(ids, "cancelled", "cancelled", as_json=as_json)


def _decide(place: Place, ids: tuple[int, ...], target: JobState) -> bool:
    """Move the jobs, and return whether the application runs."""
    may_be_done = False

    def ask(client: Client) -> bool | None:
        nonlocal may_be_done
        if len(set(ids)) > 1:
            return None
        from exlab_wizard.client import UnreachableError  # noqa: PLC0415 - loaded by now, since there is a client

        try:
            client.call("POST", f"/jobs/{ids[0]}/{_VERBS[target]}", repeat=False)
        except UnreachableError as error:
            may_be_done = error.sent
            raise
        return True

    if from_application(place, ask):
        return True
    from exlab_wizard.cli.decision import decide  # noqa: PLC0415 - most calls are answered by the application
    from exlab_wizard.process.instance_lock import is_running  # noqa: PLC0415 - likewise

    decide(place.state_dir, ids, target, may_be_done=may_be_done)
    return is_running(place.state_dir)


def _tell(ids: tuple[int, ...], state: str, done: str, *, as_json: bool) -> None:
    if as_json:
        emit([{"id": job_id, "state": state} for job_id in dict.fromkeys(ids)])
        return
    for job_id in dict.fromkeys(ids):
        say(f"job {job_id} {done}")

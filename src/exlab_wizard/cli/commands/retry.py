"""`retry`: failed jobs are queued again."""

from __future__ import annotations

import click

from exlab_wizard.cli.decision import decide
from exlab_wizard.cli.locations import Locations
from exlab_wizard.cli.options import job_ids
from exlab_wizard.cli.terminal.output import example, json_option, note
from exlab_wizard.domain.job import OperatorMove


@click.command("retry", epilog=example("exlab-wizard retry 7", "exlab-wizard retry 7 8 9"))
@job_ids
@json_option
@click.pass_obj
def command(locations: Locations, *, ids: tuple[int, ...], as_json: bool) -> None:
    """Queue failed jobs again with fresh retry budgets; bytes that were already sent are not sent again.

    Fix the cause first: `exlab-wizard jobs ID` shows the error. If one of the jobs has not failed, nothing is changed
    and the exit status is 4.
    """
    running = decide(locations, ids, OperatorMove.RETRY, "queued again", as_json=as_json)
    if not running:
        note("exlab-wizard is not running; the jobs start with the next `exlab-wizard run`")

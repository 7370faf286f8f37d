"""`cancel`: jobs that are not finished are ended."""

from __future__ import annotations

import click

from exlab_wizard.cli.decision import decide
from exlab_wizard.cli.locations import Locations
from exlab_wizard.cli.options import job_ids
from exlab_wizard.cli.terminal.output import example, json_option
from exlab_wizard.domain.job import OperatorMove


@click.command("cancel", epilog=example("exlab-wizard cancel 7"))
@job_ids
@json_option
@click.pass_obj
def command(locations: Locations, *, ids: tuple[int, ...], as_json: bool) -> None:
    """Cancel unfinished or failed jobs; a running copy stops within a second. The run's folder is not touched.

    If one of the jobs can no longer be cancelled, nothing is changed and the exit status is 4.
    """
    decide(locations, ids, OperatorMove.CANCEL, "cancelled", as_json=as_json)

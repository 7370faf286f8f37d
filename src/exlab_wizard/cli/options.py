"""Arguments, options and errors that several commands share."""

from __future__ import annotations

from typing import Final

import click

from exlab_wizard.cli.locations import Locations
from exlab_wizard.errors import ApplicationNotRunningError, UsageError

MAX_ID: Final = 1 << 62
JOB_ID: Final = click.IntRange(1, MAX_ID)
PAGE: Final = 50
LONGEST_PAGE: Final = 100_000
LONGEST_ANSWER: Final = 1_000
"""The most rows that the application returns at once; for more, commands read the database."""

job_ids = click.argument("ids", nargs=-1, required=True, metavar="ID...", type=JOB_ID)
limit_option = click.option(
    "--limit", type=click.IntRange(1, LONGEST_PAGE), default=PAGE, show_default=True, help="Maximum number of rows."
)


def no_such_job(job_id: int) -> UsageError:
    """Return the error for an id that no job has."""
    return UsageError(f"there is no job {job_id}; `exlab-wizard jobs` lists them")


def not_running(locations: Locations) -> ApplicationNotRunningError:
    """Return the error of a command that needs a running application."""
    msg = f"not running for the state dir {str(locations.state_dir.root)!r}; `exlab-wizard run` starts it"
    return ApplicationNotRunningError(msg)

"""`db prune`: deletes old history from the database."""

from __future__ import annotations

import contextlib
import re
from dataclasses import asdict
from datetime import timedelta
from typing import Final

import click

from exlab_wizard.cli.options import Locations
from exlab_wizard.cli.terminal.output import bar, emit, example, json_option, note, say
from exlab_wizard.cli.terminal.words import moment
from exlab_wizard.domain.clock import to_text
from exlab_wizard.domain.text.amounts import plural, size
from exlab_wizard.errors import UsageError
from exlab_wizard.process.identity import SystemClock
from exlab_wizard.process.instance_lock import instance_lock, is_running
from exlab_wizard.process.open_store import opened
from exlab_wizard.store.upkeep.prune import Prune, PruneResult

_DAYS: Final = {"d": 1, "w": 7, "m": 30, "y": 365}
_MOST_DAYS: Final = 36_500


@click.command(
    "prune",
    epilog=example(
        "exlab-wizard db prune --older-than 1y --dry-run",
        "exlab-wizard db prune --older-than 1y",
        "exlab-wizard db prune --older-than 90d --shrink",
    ),
)
@click.option(
    "--older-than",
    metavar="TIME",
    required=True,
    help="Minimum age in days, weeks, months or years, such as 90d, 12w, 6m, 2y.",
)
@click.option("--dry-run", is_flag=True, help="Only print what would be deleted.")
@click.option(
    "--shrink", is_flag=True, help="Shrink the database file afterwards; the application must not be running."
)
@json_option
@click.pass_obj
def command(locations: Locations, *, older_than: str, dry_run: bool, shrink: bool, as_json: bool) -> None:
    """Delete jobs that were verified, cleaned or cancelled before that TIME, their files and events, and old sessions.

    Unfinished and failed jobs are kept, and so are launches and quits in the database, and checksums and receipts on
    the destinations. Syncing a deleted run again compares it with the copy on the destination. You can run this
    command while the application is running; it does not block it.
    """
    now = SystemClock().now()
    before = now - timedelta(days=_days(older_than))
    with contextlib.ExitStack() as stack:
        if shrink and not dry_run:
            stack.enter_context(instance_lock(locations.state_dir))
        store = stack.enter_context(opened(locations.state_dir))
        pruning = Prune(store.database, before)
        if dry_run:
            gone = pruning.preview()
        else:
            with bar("deleting", hidden=as_json) as progress:
                gone = pruning.run(progress)
            if shrink:
                gone = pruning.shrink(gone)
    file_bytes = locations.state_dir.database.stat().st_size
    if as_json:
        emit({"dry_run": dry_run, "before": to_text(before), "file_bytes": file_bytes, **asdict(gone)})
        return
    say(f"{'would delete' if dry_run else 'deleted'} history from before {moment(to_text(before))}: {_counts(gone)}")
    if shrink and not dry_run:
        say(f"the database file is now {size(file_bytes)}")
    elif not dry_run and gone.free_bytes:
        how = "quit the application first, then: " if is_running(locations.state_dir) else ""
        note(
            f"{size(gone.free_bytes)} of the {size(file_bytes)} file can be reused; to shrink the file, "
            f"{how}exlab-wizard db prune --older-than {older_than} --shrink"
        )


def _days(text: str) -> int:
    found = re.fullmatch(r"([1-9]\d{0,5})([dwmy])", text)
    days = int(found[1]) * _DAYS[found[2]] if found else 0
    if not 0 < days <= _MOST_DAYS:
        msg = f"--older-than {text!r} must be a number of days, weeks, months or years, such as 90d, 12w, 6m or 2y"
        raise UsageError(msg)
    return days


def _counts(gone: PruneResult) -> str:
    counts = ((gone.jobs, "job"), (gone.files, "file"), (gone.events, "event"), (gone.sessions, "session"))
    return ", ".join(plural(count, noun) for count, noun in counts)

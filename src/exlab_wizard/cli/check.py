"""`db check`: damage, broken references, rows that contradict each other."""

from __future__ import annotations

import click

from exlab_wizard.cli.access import database_missing, database_of
from exlab_wizard.cli.context import Place
from exlab_wizard.cli.output import Json, emit, example, json_option, table
from exlab_wizard.errors import ExlabError
from exlab_wizard.store import schema
from exlab_wizard.store.check import check


class CheckFailedError(ExlabError):
    """The database did not pass."""


@click.command("check", epilog=example("exlab-wizard db check"))
@json_option
@click.pass_obj
def check_command(place: Place, *, as_json: bool) -> None:
    """Look for damage and for rows that contradict each other; reads the whole file and changes nothing.

    Status 1 when something is wrong, 4 when it is damaged beyond reading or of another schema.
    """
    if not place.state_dir.database.exists():
        raise database_missing(place)
    database = database_of(place)
    try:
        schema.require_current(database)
        findings = check(database)
    finally:
        database.close()
    wrong = [finding.name for finding in findings if not finding.ok]
    if as_json:
        listed: list[Json] = [{"name": f.name, "ok": f.ok, "detail": f.detail} for f in findings]
        emit({"database": str(database.path), "ok": not wrong, "findings": listed})
    else:
        rows = [(finding.name, "ok" if finding.ok else "WRONG", finding.detail) for finding in findings]
        table(("check", "result", "detail"), rows)
    if wrong:
        faults = ", ".join(wrong)
        msg = f"the database {str(database.path)!r} has faults: {faults}. `exlab-wizard db backup --list` names backups"
        raise CheckFailedError(msg)

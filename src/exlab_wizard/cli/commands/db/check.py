"""`db check`: finds damage, broken references and contradicting rows, and with `--runs` checks published runs too."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import asdict

import click

from exlab_wizard.cli.options import Locations
from exlab_wizard.cli.terminal.output import bar, emit, example, json_option, say
from exlab_wizard.cli.terminal.table import table
from exlab_wizard.diagnosis.audit import Fault, Rule, audit_incoming, audit_runs
from exlab_wizard.domain.codec import Json
from exlab_wizard.errors import ExlabError, SettingsError
from exlab_wizard.process.open_store import database_missing, database_of
from exlab_wizard.settings import SettingsFile
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.store import Store
from exlab_wizard.store.upkeep import migration
from exlab_wizard.store.upkeep.invariants import PROGRESS_RULES, InvariantResult, check


@click.command("check", epilog=example("exlab-wizard db check", "exlab-wizard db check --runs"))
@click.option("--runs", is_flag=True, help="Also read every published run back, and find unverified folders.")
@json_option
@click.pass_obj
def command(locations: Locations, *, runs: bool, as_json: bool) -> None:
    """Check for damage, for rows that contradict each other, and for orphaned partial copies on the destinations.

    It reads the whole file and changes nothing.

    With --runs it also reads back every run on every destination and compares each byte, which can take a long time.
    You can run it while the application is running.

    The exit status is 1 if something is wrong, and 4 if the database is unreadable or has another schema.
    """
    if not locations.state_dir.database.exists():
        raise database_missing(locations.state_dir)
    faults: list[Fault] | None = None
    with contextlib.closing(database_of(locations.state_dir)) as database:
        migration.require_current(database)
        findings = check(database, *(PROGRESS_RULES if runs else ()))
        if runs:
            settings = SettingsFile(locations.config).read()
            with bar("reading runs back", hidden=as_json) as progress:
                faults = audit_runs(Store(database), settings, progress)
            for rule in Rule:
                number = sum(fault.rule == rule for fault in faults)
                findings.append(InvariantResult(rule, ok=not number, detail=f"{number} found" if number else ""))
        else:
            findings.append(_incoming(locations, database))
    _report(database, findings, faults, as_json=as_json)


def _incoming(locations: Locations, database: Database) -> InvariantResult:
    """Find partial copies that belong to no job; a destination that cannot be read now is not an error."""
    try:
        faults, unseen = audit_incoming(Store(database), SettingsFile(locations.config).read())
    except SettingsError as error:
        return InvariantResult(Rule.INCOMING.value, ok=True, detail=f"not checked: {str(error).splitlines()[0]}")
    details = [f"{fault.subject}: {fault.detail}" for fault in faults]
    details += [f"not checked because offline: {', '.join(unseen)}"] if unseen else []
    return InvariantResult(Rule.INCOMING.value, ok=not faults, detail="; ".join(details))


def _report(
    database: Database, findings: Sequence[InvariantResult], faults: Sequence[Fault] | None, *, as_json: bool
) -> None:
    wrong = [finding.name for finding in findings if not finding.ok]
    if as_json:
        document: dict[str, Json] = {"database": str(database.path), "ok": not wrong}
        document["findings"] = [asdict(finding) for finding in findings]
        if faults is not None:
            document["faults"] = [asdict(fault) for fault in faults]
        emit(document)
    else:
        rows = [(finding.name, "ok" if finding.ok else "WRONG", finding.detail) for finding in findings]
        table(("check", "result", "detail"), rows)
        for fault in faults or ():
            say(f"{fault.subject}: {fault.detail}")
    if wrong:
        what = ", ".join(wrong)
        msg = f"the database {str(database.path)!r} failed these checks: {what}. Backups: exlab-wizard db backup --list"
        if faults:
            msg = f"the check failed: {what}. `exlab-wizard sync` copies a missing run again"
        raise ExlabError(msg)

"""`sql`: read-only SQL on the live database, and what there is to ask."""

from __future__ import annotations

import csv
import io
import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Final

import click

from exlab_wizard.cli.context import Place
from exlab_wizard.cli.output import Cell, emit, example, json_option, note, table
from exlab_wizard.errors import UsageError
from exlab_wizard.store.inspection import DEFAULT_ROWS, DEFAULT_SECONDS, Table, query
from exlab_wizard.store.values import Value, path_to_sql

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_SECONDS: Final = 3_600
_MOST_ROWS: Final = 10_000_000

RELATIONS: Final = (
    ("drain_status", "view", "Whether a quit would be immediate: active sessions, jobs in flight, idle."),
    ("drain_blockers", "view", "What a quit waits for now, with bytes left, percent and estimated seconds."),
    ("pending_work", "view", "Every unfinished job and why it is not done yet."),
    ("failed_work", "view", "Jobs that wait for an operator, with the error and its remedy."),
    ("cleanup_candidates", "view", "Verified runs whose local data could be removed."),
    ("launch_history", "view", "Every start of the application and how it ended."),
    ("quit_history", "view", "Every quit: who asked, what blocked it, how long it took, how it ended."),
    ("sync_jobs", "table", "One row for each run and destination, with its state and counters."),
    ("sync_files", "table", "The manifest and checkpoints of each job, file by file."),
    ("job_events", "table", "Every move of every job; append-only, written by triggers."),
    ("job_transitions", "table", "The legal moves between job states, and what each means."),
    ("session_leases", "table", "Foreground work that a quit must not cut off, kept alive by heartbeats."),
    ("launches", "table", "One row for each start of the application."),
    ("quit_requests", "table", "One row for each time somebody asked to quit."),
    ("installation", "table", "The identity of this installation, one row."),
)


@click.command(
    "sql",
    epilog=example(
        'exlab-wizard sql "SELECT * FROM pending_work"',
        'exlab-wizard sql --csv --param state=failed "SELECT id, error_detail FROM sync_jobs WHERE state = :state"',
        "exlab-wizard sql - < query.sql",
    ),
)
@click.argument("text", metavar="[QUERY]", required=False)
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated values with a header.")
@json_option
@click.option(
    "--param", "params", multiple=True, metavar="NAME=VALUE", help="A value for :NAME in the query; repeatable."
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(0, _LONGEST_SECONDS, min_open=True),
    default=DEFAULT_SECONDS,
    show_default=True,
    help="The query is ended after this time.",
)
@click.option(
    "--limit", type=click.IntRange(1, _MOST_ROWS), default=DEFAULT_ROWS, show_default=True, help="Rows, at most."
)
@click.pass_obj
def sql(  # noqa: PLR0913 - one parameter for each option
    place: Place, *, text: str | None, as_csv: bool, as_json: bool, params: tuple[str, ...], timeout: float, limit: int
) -> None:
    """Answer a QUERY on the live database; without one, list the tables and views. `-` reads the query from stdin.

    Nothing can be changed here, and the application is never held up. Repairs are made with the sqlite3 shell on the
    file that `exlab-wizard db path` prints; the rules hold there too.
    """
    if as_csv and as_json:
        msg = "either --csv or --json, not both"
        raise UsageError(msg)
    if text is None:
        _list(as_csv=as_csv, as_json=as_json)
        return
    bound = dict(_param(param) for param in params)
    answer = query(place.state_dir.database, _query(text), bound, seconds=timeout, rows=limit)
    _show(answer, as_csv=as_csv, as_json=as_json)
    if answer.truncated:
        note(f"only the first {limit} rows are shown; there are more (--limit)")


def _query(text: str) -> str:
    asked = sys.stdin.read() if text == "-" else text
    if not asked.strip() or "\0" in asked:
        msg = "the query is empty" if not asked.strip() else "the query holds a NUL character"
        raise UsageError(msg)
    try:
        asked.encode()
    except UnicodeEncodeError as error:
        msg = "the query holds bytes that are no text; give them with --param"
        raise UsageError(msg) from error
    return asked


def _param(text: str) -> tuple[str, Value]:
    """Return a named value; what reads back as the same integer is one."""
    name, equals, value = text.partition("=")
    if not equals or not _NAME.fullmatch(name):
        msg = f"the parameter {text!r} must have the form NAME=VALUE"
        raise UsageError(msg)
    if re.fullmatch(r"0|-?[1-9][0-9]{0,17}", value):
        return name, int(value)
    return name, path_to_sql(value)


def _list(*, as_csv: bool, as_json: bool) -> None:
    columns = ("name", "kind", "holds")
    if as_json:
        emit([dict(zip(columns, row, strict=True)) for row in RELATIONS])
    elif as_csv:
        _write_csv(columns, RELATIONS)
    else:
        table(columns, RELATIONS)


def _show(answer: Table, *, as_csv: bool, as_json: bool) -> None:
    rows = [[_cell(value) for value in row] for row in answer.rows]
    if as_json:
        names = _distinct(answer.columns)
        emit([dict(zip(names, row, strict=True)) for row in rows])
    elif not answer.columns:
        return
    elif as_csv:
        _write_csv(answer.columns, rows)
    else:
        table(answer.columns, rows)


def _write_csv(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    # As bytes, so that a name that is no text comes out as it is.
    click.echo(text.getvalue().encode("utf-8", "surrogateescape"), nl=False)


def _distinct(names: Sequence[str]) -> list[str]:
    """Return the names with a number behind those that are there already."""
    seen: dict[str, int] = {}
    distinct: list[str] = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        distinct.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return distinct


def _cell(value: Value) -> Cell:
    return os.fsdecode(value) if isinstance(value, bytes) else value

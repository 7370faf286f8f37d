"""`sql`: read-only SQL on the live database, what there is to ask, and questions that are ready to be asked."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import click

from exlab_wizard.cli.locations import Locations
from exlab_wizard.cli.terminal.output import Cell, Json, complain, emit, example, json_option, note
from exlab_wizard.cli.terminal.table import NULL, table
from exlab_wizard.errors import UsageError
from exlab_wizard.process.identity import step_back
from exlab_wizard.store.readonly.glossary import relations
from exlab_wizard.store.readonly.query import DEFAULT_ROWS, DEFAULT_SECONDS, Table, query
from exlab_wizard.store.readonly.questions import Parameter, SavedQuestion, question, questions
from exlab_wizard.store.sqlite.values import Value, path_to_sql

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_SECONDS: Final = 3_600
_MOST_ROWS: Final = 10_000_000
_LENIENCE_SECONDS: Final = 5.0


@click.command(
    "sql",
    epilog=example(
        'exlab-wizard sql "SELECT * FROM pending_work"',
        "exlab-wizard sql --run failures --param days=30",
        'exlab-wizard sql --csv --param state=failed "SELECT id, error_detail FROM sync_jobs WHERE state = :state"',
        "exlab-wizard sql sync_jobs",
        "exlab-wizard sql - < query.sql",
    ),
)
@click.argument("text", metavar="[QUERY]", required=False)
@click.option("--list", "listing", is_flag=True, help="List the saved questions: what each answers, and who asks it.")
@click.option("--run", "ready", metavar="NAME", help="Ask a saved question; --param changes its defaults.")
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
def command(  # noqa: PLR0913 - one parameter for each option
    locations: Locations,
    *,
    text: str | None,
    listing: bool,
    ready: str | None,
    as_csv: bool,
    as_json: bool,
    params: tuple[str, ...],
    timeout: float,
    limit: int,
) -> None:
    """Answer a QUERY on the live database; without one, list the views and tables. `-` reads the query from stdin.

    The name of a view or table alone tells its columns. Nothing can be changed here, and the application is never
    held up. Repairs are made with the sqlite3 shell on the file that `exlab-wizard db path` prints; its rules hold.
    """
    if as_csv and as_json:
        msg = "either --csv or --json, not both"
        raise UsageError(msg)
    if sum((text is not None, ready is not None, listing)) > 1:
        msg = "either a QUERY, or --run NAME, or --list"
        raise UsageError(msg)
    if listing:
        _list_questions(as_csv=as_csv, as_json=as_json)
        return
    if ready is None and not _is_query(text):
        _tell(text, as_csv=as_csv, as_json=as_json)
        return
    bound = dict(_param(param) for param in params)
    if ready is not None:
        asked = question(ready)
        statement, bound = asked.sql, _with_defaults(asked, bound)
    else:
        statement = _query(text or "")
    with _ended_for_certain(timeout):
        answer = query(locations.state_dir.database, statement, bound, seconds=timeout, rows=limit, when_long=step_back)
    _show(answer, as_csv=as_csv, as_json=as_json)
    if answer.truncated:
        note(f"only the first {limit} rows are shown; there are more (--limit)")


def _is_query(text: str | None) -> bool:
    return text is not None and all(text.strip() != relation.name for relation in relations())


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


def _with_defaults(asked: SavedQuestion, given: dict[str, Value]) -> dict[str, Value]:
    if strange := given.keys() - asked.defaults.keys():
        known = ", ".join(asked.defaults) or "nothing"
        msg = f"the question {asked.name!r} has no parameter {', '.join(sorted(strange))}; it can be given: {known}"
        raise UsageError(msg)
    return asked.defaults | given


@contextlib.contextmanager
def _ended_for_certain(seconds: float) -> Iterator[None]:
    """End the process when a query outlives its time: inside one function call SQLite does not look at the clock."""

    def end() -> None:
        complain(f"the query was stopped: it did not stop at its time limit of {seconds:g} s; narrow it")
        os._exit(1)

    # The time that a query may wait for its turn is half of its own.
    net = threading.Timer(1.5 * seconds + _LENIENCE_SECONDS, end)
    net.daemon = True
    net.start()
    try:
        yield
    finally:
        net.cancel()


def _tell(name: str | None, *, as_csv: bool, as_json: bool) -> None:
    """Say what there is to ask: all views and tables, or the columns of one."""
    if name is not None:
        (told,) = (relation for relation in relations() if relation.name == name.strip())
        _print(("column", "means"), list(told.columns.items()), as_csv=as_csv, as_json=as_json)
        return
    if as_json:
        emit([{"name": it.name, "kind": it.kind, "holds": it.holds, "columns": dict(it.columns)} for it in relations()])
        return
    _print(
        ("name", "kind", "holds"), [(it.name, it.kind, it.holds) for it in relations()], as_csv=as_csv, as_json=False
    )
    if not as_csv:
        note("columns: exlab-wizard sql NAME; saved questions: exlab-wizard sql --list")


def _list_questions(*, as_csv: bool, as_json: bool) -> None:
    if as_json:
        emit([_document(it) for it in questions()])
        return
    rows = [(it.name, it.asks, " ".join(map(_told, it.parameters)), it.asked_by) for it in questions()]
    _print(("name", "answers", "parameters", "asked by"), rows, as_csv=as_csv, as_json=False)


def _told(parameter: Parameter) -> str:
    return f"{parameter.name}={'NULL' if parameter.default is None else parameter.default!s}"


def _document(asked: SavedQuestion) -> Json:
    parameters: list[Json] = [
        {"name": it.name, "default": _cell(it.default), "means": it.meaning} for it in asked.parameters
    ]
    return {
        "name": asked.name,
        "asks": asked.asks,
        "asked_by": asked.asked_by,
        "parameters": parameters,
        "sql": asked.sql,
    }


def _show(answer: Table, *, as_csv: bool, as_json: bool) -> None:
    if answer.columns or as_json:
        _print(answer.columns, [[_cell(value) for value in row] for row in answer.rows], as_csv=as_csv, as_json=as_json)


def _print(columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, as_csv: bool, as_json: bool) -> None:
    if as_json:
        names = _distinct(columns)
        emit([dict(zip(names, row, strict=True)) for row in rows])
    elif as_csv:
        _write_csv(columns, rows)
    else:
        table(columns, rows, NULL)


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

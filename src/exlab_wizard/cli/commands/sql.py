"""`sql`: read-only SQL on the live database, the list of its views and tables, and saved questions."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import click

from exlab_wizard.cli.options import Locations
from exlab_wizard.cli.terminal.output import Cell, complain, emit, example, json_option, note
from exlab_wizard.cli.terminal.table import NULL, table
from exlab_wizard.domain.codec import Json
from exlab_wizard.domain.text.amounts import elapsed, plural
from exlab_wizard.domain.text.names import visible
from exlab_wizard.errors import UsageError
from exlab_wizard.process.identity import step_back
from exlab_wizard.store.readonly.query import DEFAULT_ROWS, DEFAULT_SECONDS, query
from exlab_wizard.store.readonly.questions import Parameter, SavedQuestion, question, questions, relations
from exlab_wizard.store.sqlite.values import Value, path_to_sql

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_SECONDS: Final = 3_600
_MOST_ROWS: Final = 10_000_000
_LENIENCE_SECONDS: Final = 5.0
_TABLE_CHARS: Final = 4_000_000
"""About how much text a table of long values has: the layout takes longer than the query."""
_SHORTEST_CELL: Final = 200
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


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
@click.option("--list", "listing", is_flag=True, help="List the saved questions, what each answers, and who asks it.")
@click.option("--run", "ready", metavar="NAME", help="Run a saved question; --param changes its defaults.")
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated values with a header.")
@click.option(
    "--safe-cells",
    is_flag=True,
    help="With --csv: put an apostrophe before text that a spreadsheet would treat as a formula.",
)
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
    help="Time limit of the query.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, _MOST_ROWS),
    default=DEFAULT_ROWS,
    show_default=True,
    help="Maximum number of rows.",
)
@click.pass_obj
def command(  # noqa: PLR0913 - one parameter for each option
    locations: Locations,
    *,
    text: str | None,
    listing: bool,
    ready: str | None,
    as_csv: bool,
    safe_cells: bool,
    as_json: bool,
    params: tuple[str, ...],
    timeout: float,
    limit: int,
) -> None:
    """Run a QUERY on the live database; without one, list the views and tables. `-` reads the query from stdin.

    The name of a view or table lists its columns. The query is read-only and never blocks the application. For repairs
    use the sqlite3 shell on the file that `exlab-wizard db path` prints; the rules of the database still apply.
    """
    if as_csv and as_json:
        raise UsageError("give either --csv or --json, not both")
    if safe_cells and not as_csv:
        raise UsageError("--safe-cells works only with --csv")
    if sum((text is not None, ready is not None, listing)) > 1:
        raise UsageError("give only one of QUERY, --run NAME and --list")
    if listing:
        _list_questions(as_csv=as_csv, as_json=as_json)
        return
    if ready is None and not _is_sql(text):
        _list_relations(text, as_csv=as_csv, as_json=as_json)
        return
    bound = dict(_param(param) for param in params)
    if ready is not None:
        saved = question(ready)
        statement, bound = saved.sql, _with_defaults(saved, bound)
    else:
        statement = _query(text or "")
    with _time_limit(timeout):
        answer = query(locations.state_dir.database, statement, bound, seconds=timeout, rows=limit, when_long=step_back)
    if answer.columns or as_json:
        rows = [[_without_formula(value) for value in row] for row in answer.rows] if safe_cells else answer.rows
        _print(answer.columns, rows, as_csv=as_csv, as_json=as_json)
    if answer.truncated:
        note(f"showing only the first {plural(limit, 'row')}; raise --limit to see more")


def _is_sql(text: str | None) -> bool:
    return text is not None and all(text.strip() != relation.name for relation in relations())


def _query(text: str) -> str:
    query_text = sys.stdin.read() if text == "-" else text
    if not query_text.strip() or "\0" in query_text:
        msg = "the query is empty" if not query_text.strip() else "the query contains a NUL character"
        raise UsageError(msg)
    try:
        query_text.encode()
    except UnicodeEncodeError as error:
        raise UsageError("the query contains bytes that are not UTF-8; pass them with --param") from error
    return query_text


def _param(text: str) -> tuple[str, Value]:
    """Return a name and its value; text that is the normal form of an integer becomes one."""
    name, equals, value = text.partition("=")
    if not equals or not _NAME.fullmatch(name):
        msg = f"the parameter {text!r} must have the form NAME=VALUE"
        raise UsageError(msg)
    if re.fullmatch(r"0|-?[1-9][0-9]{0,17}", value):
        return name, int(value)
    return name, path_to_sql(value)


def _with_defaults(saved: SavedQuestion, given: dict[str, Value]) -> dict[str, Value]:
    if strange := given.keys() - saved.defaults.keys():
        known = ", ".join(saved.defaults) or "none"
        msg = f"the question {saved.name!r} has no parameter {', '.join(sorted(strange))}; its parameters: {known}"
        raise UsageError(msg)
    return saved.defaults | given


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """End the process when a query exceeds its time limit: inside one function call SQLite checks no clock."""

    def end() -> None:
        complain(f"the query was killed because it did not stop at its time limit of {elapsed(seconds)}; narrow it")
        os._exit(1)

    # A query may wait for its turn for half of its own time.
    net = threading.Timer(1.5 * seconds + _LENIENCE_SECONDS, end)
    net.daemon = True
    net.start()
    try:
        yield
    finally:
        net.cancel()


def _list_relations(name: str | None, *, as_csv: bool, as_json: bool) -> None:
    """Print all views and tables, or the columns of one."""
    if name is not None:
        (named,) = (relation for relation in relations() if relation.name == name.strip())
        _print(("column", "means"), list(named.columns.items()), as_csv=as_csv, as_json=as_json)
    elif as_json:
        emit([{"name": it.name, "kind": it.kind, "holds": it.holds, "columns": dict(it.columns)} for it in relations()])
    else:
        _print(("name", "kind", "holds"), [(it.name, it.kind, it.holds) for it in relations()], as_csv=as_csv)
        if not as_csv:
            note("columns: exlab-wizard sql NAME; saved questions: exlab-wizard sql --list")


def _list_questions(*, as_csv: bool, as_json: bool) -> None:
    if as_json:
        emit([_document(it) for it in questions()])
        return
    rows = [(it.name, it.asks, " ".join(map(_default, it.parameters)), it.asked_by) for it in questions()]
    _print(("name", "answers", "parameters", "asked by"), rows, as_csv=as_csv)


def _default(parameter: Parameter) -> str:
    return f"{parameter.name}={'NULL' if parameter.default is None else parameter.default!s}"


def _document(saved: SavedQuestion) -> Json:
    parameters = [{"name": it.name, "default": _cell(it.default), "means": it.meaning} for it in saved.parameters]
    known = {"name": saved.name, "asks": saved.asks, "asked_by": saved.asked_by}
    return {**known, "parameters": parameters, "sql": saved.sql}


def _print(columns: Sequence[str], rows: Sequence[Sequence[Value]], *, as_csv: bool, as_json: bool = False) -> None:
    cells = [[_cell(value) for value in row] for row in rows]
    if as_json:
        names = _distinct(columns)
        emit([dict(zip(names, row, strict=True)) for row in cells])
    elif as_csv:
        text = io.StringIO(newline="")
        lines = [columns, *cells]
        if sys.stdout.isatty():  # names come from disks, and a terminal would obey them
            lines = [[visible(cell) if isinstance(cell, str) else cell for cell in line] for line in lines]
        csv.writer(text, lineterminator="\n").writerows(lines)
        # As bytes, so that a name that is not UTF-8 is written unchanged.
        click.echo(text.getvalue().encode("utf-8", "surrogateescape"), nl=False)
    else:
        longest = max(_SHORTEST_CELL, _TABLE_CHARS // max(1, len(cells) * len(columns)))
        table(columns, [[_cut(cell, longest) for cell in row] for row in cells], NULL)


def _cut(cell: Cell, longest: int) -> Cell:
    if isinstance(cell, str) and len(cell) > longest:
        return f"{cell[:longest]}… ({len(cell)} characters; --json and --csv print all)"
    return cell


def _without_formula(value: Value) -> Value:
    first = _cell(value)
    if isinstance(first, str) and first.startswith(_FORMULA):
        return path_to_sql(f"'{first}")
    return value


def _distinct(names: Sequence[str]) -> list[str]:
    """Return the names, with a number appended to each repetition."""
    seen: Counter[str] = Counter()
    distinct: list[str] = []
    for name in names:
        seen[name] += 1
        distinct.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return distinct


def _cell(value: Value) -> Cell:
    return os.fsdecode(value) if isinstance(value, bytes) else value

"""The answer to a query as people read it: a table where it fits, else one block for each row; NULL is seen as NULL.

Names come from disks: nothing in a value is obeyed, whatever bytes it holds. Wide characters keep columns straight.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import Final

import click
from rich.cells import cell_len

from exlab_wizard.cli.terminal.output import Cell, note, visible

NULL: Final = "NULL"
_NARROWEST: Final = 14
"""To how few characters a column of long text may be folded before rows are shown as blocks instead."""

_BETWEEN: Final = 2


def grid(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Print the rows: drawn on a terminal, in its width; as aligned plain text elsewhere."""
    names = [visible(name) for name in columns]
    if not sys.stdout.isatty():
        for line in aligned(names, rows):
            click.echo(line)
        return
    if not rows:
        note("no rows")
    elif _least_width(names, rows) <= shutil.get_terminal_size().columns:
        _draw(names, rows)
    else:
        _draw_blocks(names, rows)


def aligned(names: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[str]:
    """Return the lines of a plain table; columns of numbers stand at the right."""
    lines = [list(names), *([_shown(value) for value in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    at_right = [_is_number(rows, place) for place in range(len(names))]
    return [(" " * _BETWEEN).join(map(_padded, line, widths, at_right)).rstrip() for line in lines]


def _padded(cell: str, width: int, at_right: bool) -> str:  # noqa: FBT001 - one of three columns that are mapped over
    room = " " * (width - cell_len(cell))
    return room + cell if at_right else cell + room


def _shown(value: Cell) -> str:
    return NULL if value is None else visible(str(value))


def _is_number(rows: Sequence[Sequence[Cell]], place: int) -> bool:
    held = [row[place] for row in rows if row[place] is not None]
    return bool(held) and all(isinstance(value, int | float) for value in held)


def _least_width(names: Sequence[str], rows: Sequence[Sequence[Cell]]) -> int:
    """Return how narrow a table may become: numbers and column names are never broken, long text is."""
    least = _BETWEEN * (len(names) - 1)
    for place, name in enumerate(names):
        widest = max((cell_len(_shown(row[place])) for row in rows), default=0)
        least += max(cell_len(name), widest if _is_number(rows, place) else min(widest, _NARROWEST))
    return least


def _draw(names: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - rich is loaded only where something is drawn
    from rich.console import Console  # noqa: PLC0415 - likewise
    from rich.table import Table  # noqa: PLC0415 - likewise
    from rich.text import Text  # noqa: PLC0415 - likewise

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, name in enumerate(names):
        number = _is_number(rows, place)
        drawn.add_column(
            Text(name), justify="right" if number else "left", overflow="fold", no_wrap=number, min_width=cell_len(name)
        )
    for row in rows:
        drawn.add_row(*[Text(_shown(value), style="dim" if value is None else "") for value in row])
    Console(highlight=False).print(drawn)


def _draw_blocks(names: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - rich is loaded only where something is drawn
    from rich.rule import Rule  # noqa: PLC0415 - likewise
    from rich.table import Table  # noqa: PLC0415 - likewise
    from rich.text import Text  # noqa: PLC0415 - likewise

    console = Console(highlight=False)
    for number, row in enumerate(rows, 1):
        console.print(Rule(Text(f"row {number} of {len(rows)}"), align="left", style="dim"))
        block = Table.grid(padding=(0, _BETWEEN))
        block.add_column(no_wrap=True)
        block.add_column(overflow="fold")
        for name, value in zip(names, row, strict=True):
            block.add_row(Text(name, style="bold"), Text(_shown(value), style="dim" if value is None else ""))
        console.print(block)

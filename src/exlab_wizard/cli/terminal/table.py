"""The one printer of columns: a table where it fits, else a block for each row; aligned text without a terminal.

Names come from disks: nothing in a value is obeyed, whatever bytes it holds. Wide characters keep columns straight.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from exlab_wizard.cli.terminal.output import Cell, note, say
from exlab_wizard.domain.text.names import visible

NULL: Final = "NULL"
_NARROWEST: Final = 14
"""The fewest characters to which a column of long text may be folded; narrower tables become blocks."""

_GAP: Final = 2


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], null: str = "") -> None:
    """Print the rows below their column names; `null` stands for an empty cell."""
    names, rows = [visible(name) for name in columns], list(rows)
    if not sys.stdout.isatty():
        for line in aligned(names, rows, null):
            say(line)
    elif not rows:
        note("no rows")
    elif _least_width(names, rows, null) <= shutil.get_terminal_size().columns:
        _draw(names, rows, null)
    else:
        _draw_blocks(names, rows, null)


def fields(pairs: Iterable[tuple[str, Cell]]) -> None:
    """Print names and values below a heading: a line for each, indented, the values in a column."""
    pairs = list(pairs)
    width = max(_width(name) for name, _ in pairs)
    for name, value in pairs:
        say(f"  {_padded(name, width)}  {_shown(value, '')}")


def aligned(names: Sequence[str], rows: Sequence[Sequence[Cell]], null: str = NULL) -> list[str]:
    """Return the lines of a plain table; columns of numbers stand at the right."""
    lines = [list(names), *([_shown(value, null) for value in row] for row in rows)]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    at_right = [_is_number(rows, index) for index in range(len(names))]
    return [(" " * _GAP).join(map(_padded, line, widths, at_right)).rstrip() for line in lines]


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 - rich is loaded only where it is needed

    return cell_len(text)


def _padded(cell: str, width: int, at_right: bool = False) -> str:  # noqa: FBT001, FBT002 - one of three columns that are mapped over
    room = " " * (width - _width(cell))
    return room + cell if at_right else cell + room


def _shown(value: Cell, null: str) -> str:
    return null if value is None else visible(str(value))


def _is_number(rows: Sequence[Sequence[Cell]], index: int) -> bool:
    values = [row[index] for row in rows if row[index] is not None]
    return bool(values) and all(isinstance(value, int | float) for value in values)


def _least_width(names: Sequence[str], rows: Sequence[Sequence[Cell]], null: str) -> int:
    """Return how narrow a table may become: numbers and column names are never broken, long text is."""
    least = _GAP * (len(names) - 1)
    for index, name in enumerate(names):
        widest = max((_width(_shown(row[index], null)) for row in rows), default=0)
        least += max(_width(name), widest if _is_number(rows, index) else min(widest, _NARROWEST))
    return least


def _draw(names: Sequence[str], rows: Sequence[Sequence[Cell]], null: str) -> None:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - rich is loaded only where something is drawn
    from rich.console import Console  # noqa: PLC0415 - likewise
    from rich.table import Table  # noqa: PLC0415 - likewise
    from rich.text import Text  # noqa: PLC0415 - likewise

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, name in enumerate(names):
        number = _is_number(rows, index)
        drawn.add_column(
            Text(name), justify="right" if number else "left", overflow="fold", no_wrap=number, min_width=_width(name)
        )
    for row in rows:
        drawn.add_row(*[Text(_shown(value, null), style="dim" if value is None else "") for value in row])
    Console(highlight=False).print(drawn)


def _draw_blocks(names: Sequence[str], rows: Sequence[Sequence[Cell]], null: str) -> None:
    from rich.console import Console  # noqa: PLC0415 - rich is loaded only where something is drawn
    from rich.rule import Rule  # noqa: PLC0415 - likewise
    from rich.table import Table  # noqa: PLC0415 - likewise
    from rich.text import Text  # noqa: PLC0415 - likewise

    console = Console(highlight=False)
    for number, row in enumerate(rows, 1):
        console.print(Rule(Text(f"row {number} of {len(rows)}"), align="left", style="dim"))
        block = Table.grid(padding=(0, _GAP))
        block.add_column(no_wrap=True)
        block.add_column(overflow="fold")
        for name, value in zip(names, row, strict=True):
            block.add_row(Text(name, style="bold"), Text(_shown(value, null), style="dim" if value is None else ""))
        console.print(block)

"""How commands print: text for people, one line at a time whatever a name contains, and JSON for programs.

Names come from disks and may contain newlines, terminal codes, bytes that are not UTF-8, and markup; they are printed,
never interpreted.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import click

from exlab_wizard.domain.text.names import visible

if TYPE_CHECKING:
    from exlab_wizard.domain.codec import Json

Cell: TypeAlias = "str | int | float | None"
_Command = TypeVar("_Command", bound=Callable[..., object])

json_option: Final[Callable[[_Command], _Command]] = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on stdout, for programs."
)


def example(*lines: str) -> str:
    """Return the end of a help text: example calls, without line wrapping."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def say(text: str = "") -> None:
    """Print one line on stdout."""
    click.echo(visible(text))


def note(text: str) -> None:
    """Print a remark beside the result: one line on stderr."""
    click.echo(visible(text), err=True)


def complain(text: str) -> None:
    """Print the one line of an error."""
    note(f"exlab-wizard: {text}")


def emit(document: Json) -> None:
    """Print `document` as one line of JSON; bytes that are not UTF-8 appear as lone surrogates, as in Python."""
    click.echo(json.dumps(_finite(document), ensure_ascii=True, allow_nan=False))


def _finite(document: Json) -> Json:
    if isinstance(document, float):
        return document if math.isfinite(document) else None
    if isinstance(document, Mapping):
        return {name: _finite(value) for name, value in document.items()}
    if isinstance(document, Sequence) and not isinstance(document, str):
        return [_finite(value) for value in document]
    return document


@contextmanager
def bar(label: str, *, hidden: bool) -> Iterator[Callable[[int, int], None]]:
    """Draw a bar while the block runs, on a terminal only; yield the function that sets how much of what is done."""
    if hidden or not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console  # noqa: PLC0415 - rich is loaded only where something is drawn
    from rich.progress import Progress  # noqa: PLC0415 - likewise

    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(label, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)

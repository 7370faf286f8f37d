"""The saved questions: one `.sql` file each, which begins with the question, who asks it, and its parameters.

A file begins with `-- ` lines: the question, `-- Asked by: ` a person, and for each parameter `-- :name = default`
followed by its meaning. The rest is one SELECT. Beside them the glossary: what every view, table and column means.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

from exlab_wizard.errors import UsageError
from exlab_wizard.store.sqlite.values import Value

_FOLDER: Final = Path(__file__).parent
_PARAMETER: Final = re.compile(r":(\w+) = (\S+)\s+(.+)")
_ASKED_BY: Final = "Asked by: "


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a question, `:name` in its SQL."""

    name: str
    default: Value
    meaning: str


@dataclass(frozen=True, slots=True)
class SavedQuestion:
    """A saved question; `sql` may be run with the defaults of `parameters`."""

    name: str
    asks: str
    asked_by: str
    parameters: tuple[Parameter, ...]
    sql: str

    @property
    def defaults(self) -> dict[str, Value]:
        """The parameters when nothing else is said."""
        return {parameter.name: parameter.default for parameter in self.parameters}


@dataclass(frozen=True, slots=True)
class Relation:
    """A view or table: what it holds, and the meaning of each column, in the column's order."""

    name: str
    kind: Literal["view", "table"]
    holds: str
    columns: Mapping[str, str]


@cache
def relations() -> tuple[Relation, ...]:
    """Return all views and tables, the most used ones first."""
    read = tomllib.loads(_FOLDER.with_name("glossary.toml").read_text("utf-8"))
    return tuple(Relation(name, it["kind"], it["holds"], it["columns"]) for name, it in read.items())


@cache
def questions() -> tuple[SavedQuestion, ...]:
    """Return all saved questions, by name."""
    return tuple(_read(file) for file in sorted(_FOLDER.glob("*.sql")))


def question(name: str) -> SavedQuestion:
    """Return one of them.

    Raises:
        UsageError: there is none of that name; the message names those that are near.
    """
    for known in questions():
        if known.name == name:
            return known
    import difflib  # noqa: PLC0415 - only where a name was mistyped

    near = difflib.get_close_matches(name, [known.name for known in questions()], 3)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    msg = f"there is no saved question {name!r}; {hint}`exlab-wizard sql --list` lists them all"
    raise UsageError(msg)


def _read(file: Path) -> SavedQuestion:
    lines = file.read_text("utf-8").splitlines()
    head = [line[3:] for line in lines if line.startswith("-- ")]
    asks = [line for line in head if not line.startswith((":", _ASKED_BY))]
    found = [_PARAMETER.fullmatch(line) for line in head if line.startswith(":")]
    return SavedQuestion(
        name=file.stem,
        asks=" ".join(asks),
        asked_by=" ".join(line.removeprefix(_ASKED_BY) for line in head if line.startswith(_ASKED_BY)),
        parameters=tuple(Parameter(it[1], _value(it[2]), it[3]) for it in found if it),
        sql="\n".join(line for line in lines if not line.startswith("--")).strip(),
    )


def _value(text: str) -> Value:
    if text == "NULL":
        return None
    return int(text) if re.fullmatch(r"-?\d+", text) else text

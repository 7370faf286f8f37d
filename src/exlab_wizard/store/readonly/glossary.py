"""What every view, table and column means, in one sentence each.

`glossary.toml` is the one place for these sentences; whoever shows the database to people takes them from here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

_FILE = Path(__file__).with_name("glossary.toml")


@dataclass(frozen=True, slots=True)
class Relation:
    """A view or table: what it holds, and the meaning of each column, in the column's order."""

    name: str
    kind: Literal["view", "table"]
    holds: str
    columns: Mapping[str, str]


@cache
def relations() -> tuple[Relation, ...]:
    """Return all views and tables, in the order in which they are asked for."""
    read = tomllib.loads(_FILE.read_text("utf-8"))
    return tuple(Relation(name, told["kind"], told["holds"], told["columns"]) for name, told in read.items())

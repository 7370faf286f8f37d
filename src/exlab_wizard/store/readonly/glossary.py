"""The meaning of every view, table and column, in one sentence each, read from `glossary.toml`."""

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
    """Return all views and tables, the most used ones first."""
    read = tomllib.loads(_FILE.read_text("utf-8"))
    return tuple(Relation(name, it["kind"], it["holds"], it["columns"]) for name, it in read.items())

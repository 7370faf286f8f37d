"""SQLAlchemy Core constructs, compiled once, to be run on the driver's own connection at the speed of bare SQLite."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from exlab_wizard.store.sqlite.values import Value

_DIALECT: Final = SQLiteDialect_pysqlite(paramstyle="qmark")
_STATEMENTS: Final[list[Statement]] = []


def compile_statements() -> None:
    """Compile every statement now rather than at its first use, so that no quit waits for it."""
    for statement in _STATEMENTS:
        _ = statement.sql


class Statement:
    """A Core construct, compiled at its first use to the text that the driver gets.

    Its bound parameters are the names that `params` must hold.
    """

    def __init__(self, clause: sa.Executable) -> None:
        self._clause = clause
        _STATEMENTS.append(self)

    @cached_property
    def _compiled(self) -> sa.sql.compiler.SQLCompiler:
        return self._clause.compile(dialect=_DIALECT)  # type: ignore[attr-defined,no-any-return]

    @cached_property
    def sql(self) -> str:
        """The statement's text, with a `?` for each of `names`."""
        return str(self._compiled)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The parameters in the order of the text: the driver binds by place in two thirds of the time by name."""
        return tuple(self._compiled.positiontup or ())

    @cached_property
    def _constants(self) -> dict[str, Value]:
        return {name: value for name, value in (self._compiled.params or {}).items() if value is not None}

    def bind(self, params: Mapping[str, Value]) -> list[Value]:
        """Return the values of `params`, and the statement's own constants, in the order of the text."""
        values = {**self._constants, **params} if self._constants else params
        return [values[name] for name in self.names]

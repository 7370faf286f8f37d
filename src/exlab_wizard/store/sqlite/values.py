"""Python values in the database, and back; rows as the dataclasses whose fields are their columns."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from exlab_wizard.domain.clock import time_typed
from exlab_wizard.domain.codec import DecodeError, decode
from exlab_wizard.errors import StoreError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

View = TypeVar("View", bound="DataclassInstance")
Value = str | bytes | int | float | None
Row = tuple[Value, ...]


def view(kind: type[View], row: Mapping[str, Value]) -> View:
    """Return a row, by the names of its columns, as a view.

    Raises:
        StoreError: it holds what no column of its kind holds; a time may be any text.
    """
    try:
        return decode(kind, row)
    except DecodeError as error:
        msg = f"a row of the database cannot be read: {error} (id {row.get('id')!s}). Correct it with SQL."
        raise StoreError(msg) from error


def path_to_sql(path: str) -> str | bytes:
    """Return a path as text, or as its bytes where a name is not valid Unicode."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return path


def path_from_sql(value: Value) -> str:
    """Return the path in the form of `os.fsdecode`."""
    assert isinstance(value, str | bytes)
    return os.fsdecode(value)


def whole(value: object) -> int:
    """Return the integer that a column holds; the STRICT tables hold it to that."""
    assert isinstance(value, int)
    return value


def moment(value: Value) -> datetime:
    """Return the time that a column holds."""
    return time_typed(str(value))


def text(value: Value) -> str | None:
    """Return a column that may be NULL as text."""
    return None if value is None else str(value)


def real(value: Value) -> float | None:
    """Return the number that a column holds, or None for NULL."""
    assert value is None or isinstance(value, int | float)
    return None if value is None else float(value)

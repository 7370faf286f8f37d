"""Python values in the database, and back."""

from __future__ import annotations

import os
from datetime import datetime

from exlab_wizard.domain.clock import time_typed

Value = str | bytes | int | float | None
Row = tuple[Value, ...]


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

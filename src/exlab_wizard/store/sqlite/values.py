"""How Python values stand in the database."""

from __future__ import annotations

import os

Value = str | bytes | int | float | None
Row = tuple[Value, ...]


def path_to_sql(path: str) -> str | bytes:
    """Return a path as text, or as its bytes where a name is not valid Unicode."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return path


def path_from_sql(value: str | bytes) -> str:
    """Return the path in the form of `os.fsdecode`."""
    return value if isinstance(value, str) else os.fsdecode(value)


def whole(value: object) -> int:
    """Return the integer that a column holds; the STRICT tables hold it to that."""
    assert isinstance(value, int)
    return value

"""Limits that SQLite itself keeps: how long one value may be, how much memory it uses.

Inside one function call SQLite looks at no clock, so only these end what makes huge values. `pysqlite3` does not pass
them on, but the library that is in it has them; where it does not show them, only the other limits hold.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
from collections.abc import Iterator
from typing import Final

_LENGTH: Final = 0
"""SQLITE_LIMIT_LENGTH: the bytes of a text, a blob, or a row."""
_OPENED: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


def _library() -> ctypes.CDLL | None:
    module = sys.modules.get("pysqlite3._sqlite3") or sys.modules.get("_sqlite3")
    with contextlib.suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(module.__file__ if module is not None else None)
        library.sqlite3_memory_used.restype = ctypes.c_int64
        library.sqlite3_limit.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_int)
        if library.sqlite3_auto_extension(_CALLBACK) == 0:
            return library
    return None


def _limit_opened(database: int, _error: int, _routines: int) -> int:
    """Limit a connection that is being opened, if its thread wants that; SQLite calls this for each."""
    length: int | None = getattr(_wanted, "length", None)
    if length is not None and _LIBRARY is not None:
        _LIBRARY.sqlite3_limit(database, _LENGTH, length)
    return 0


_wanted: Final = threading.local()
_CALLBACK: Final = _OPENED(_limit_opened)
_LIBRARY: Final = _library()


@contextlib.contextmanager
def longest_values(length: int) -> Iterator[None]:
    """Let no value be longer than `length` in the connections that this thread opens in the block."""
    _wanted.length = length
    try:
        yield
    finally:
        _wanted.length = None


def memory_used() -> int:
    """Return the bytes of memory that SQLite uses in this process; 0 where it does not say."""
    return int(_LIBRARY.sqlite3_memory_used()) if _LIBRARY is not None else 0

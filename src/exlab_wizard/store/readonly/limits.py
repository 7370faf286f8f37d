"""Limits that SQLite itself keeps: how long one value may be, and how much memory it has in use.

Inside one function call SQLite looks at no clock, so only these end what makes huge values. `pysqlite3` does not pass
them on, but the library inside it has them; where it does not show them, only the other limits hold.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
from collections.abc import Iterator
from typing import Final

from exlab_wizard.store.sqlite.driver import driver

_LIMIT_LENGTH: Final = 0
_OPENED: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_wanted: Final = threading.local()


@contextlib.contextmanager
def longest_values(length: int) -> Iterator[None]:
    """Let no text, blob or row be longer than `length` in the connections that this thread opens in the block."""
    _wanted.length = length
    try:
        yield
    finally:
        _wanted.length = None


def memory_used() -> int:
    """Return the bytes of memory that SQLite uses in this process; 0 where it does not say."""
    return int(_library.sqlite3_memory_used()) if _library is not None else 0


def _opened(database: int, _error: int, _routines: int) -> int:
    """Limit a connection that is being opened, if its thread wants that; SQLite calls this for each."""
    length: int | None = getattr(_wanted, "length", None)
    if length is not None and _library is not None:
        _library.sqlite3_limit(ctypes.c_void_p(database), _LIMIT_LENGTH, length)
    return 0


_library: ctypes.CDLL | None = None
_callback: Final = _OPENED(_opened)
with contextlib.suppress(OSError, AttributeError, KeyError):
    _found = ctypes.CDLL(sys.modules["_sqlite3" if driver.__name__ == "sqlite3" else "pysqlite3._sqlite3"].__file__)
    _found.sqlite3_memory_used.restype = ctypes.c_int64
    if _found.sqlite3_auto_extension(_callback) == 0:
        _library = _found

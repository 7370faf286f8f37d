"""Whose process is at the other end of a connection: the kernel knows, where it tells.

A login link can be seen by other accounts of this machine for a moment, in the command line of the browser that is
started with it. So it must not be enough to have seen it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_TABLES: Final = ("/proc/self/net/tcp", "/proc/self/net/tcp6")
_LOCAL, _REMOTE, _UID = 1, 2, 7
_ROOT: Final = 0


def is_ours(client_port: int, server_port: int) -> bool:
    """Return whether the process that connected from `client_port` runs under our account, or is the administrator's.

    Unknown is no. On systems that do not tell it is yes: there no link of ours stands in a command line that other
    accounts can read.
    """
    if sys.platform != "linux":
        return True
    return owner(client_port, server_port) in (os.geteuid(), _ROOT)


def owner(client_port: int, server_port: int, tables: Iterable[str] = _TABLES) -> int | None:
    """Return the account of the socket that connected from `client_port` of this machine; None: not found."""
    for table in tables:
        try:
            rows = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for columns in map(str.split, rows):
            if (_port(columns[_LOCAL]), _port(columns[_REMOTE])) == (client_port, server_port):
                return int(columns[_UID])
    return None


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)

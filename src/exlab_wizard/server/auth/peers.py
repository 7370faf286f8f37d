"""Which account owns the process at the other end of a connection, where the kernel says so.

Other accounts of this machine can see a login link for a moment, in the command line of the browser that is started
with it. So knowing the link must not be enough to use it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

_TABLES: Final = ("/proc/self/net/tcp", "/proc/self/net/tcp6")
_LOCAL, _REMOTE, _UID = 1, 2, 7
_ROOT: Final = 0


def is_ours(client_port: int, server_port: int) -> bool:
    """Return whether the process that connected from `client_port` runs under our account, or is the administrator's.

    An owner that is not found counts as another account. Elsewhere than on Linux the answer is always yes: there no
    other account can read the command line with the link.
    """
    if sys.platform != "linux":
        return True
    return _owner(client_port, server_port) in (os.geteuid(), _ROOT)


def _owner(client_port: int, server_port: int) -> int | None:
    for table in _TABLES:
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

"""Where the application's server is: `server.json` in the state dir, read afresh each time, and never trusted alone.

The file must be ours and readable by nobody else, since it holds the token. What it says may still be stale: the port
may belong to another program by now, so the token is sent only to who has proved that it knows it.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from exlab_wizard.client.errors import UnreachableError

_LONGEST: Final = 4096
_HIGHEST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class Location:
    """What `server.json` says: where the server is, of which process, and the token that it wants."""

    port: int
    pid: int
    started_at: str
    token: str = field(repr=False)

    @property
    def url(self) -> str:
        """The address for a browser or a script; without the token it shows nothing."""
        return f"http://127.0.0.1:{self.port}/"


def read_location(path: Path) -> Location:
    """Return what the file says.

    Raises:
        UnreachableError: there is none, it is not ours alone, or it says nothing that makes sense.
    """
    try:
        text = _text(path)
    except FileNotFoundError as error:
        msg = f"there is no {path.name} in {str(path.parent)!r}: the application does not run, or has no server yet"
        raise UnreachableError(msg) from error
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{str(path)!r} cannot be read: {error}"
        raise UnreachableError(msg) from error
    try:
        return _parsed(text)
    except (ValueError, RecursionError) as error:
        msg = f"{str(path)!r} is not whole, or of another program: {error}. Start the application anew."
        raise UnreachableError(msg) from error


def _text(path: Path) -> str:
    # Opened first, looked at then: what is judged is what is read.
    with open(path, "rb", opener=_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            msg = "it is no regular file"
            raise OSError(msg)
        if os.name == "posix":
            _require_ours(status)
        return file.read(_LONGEST).decode()


def _without_waiting(path: str, flags: int) -> int:
    """Open as usual, but never wait for the other end of a pipe that lies in the file's place."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _require_ours(status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        msg = "it belongs to another account, so it is not trusted"
        raise PermissionError(msg)
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        msg = "other accounts may read or write it, so it is not trusted; its mode must be 0600"
        raise PermissionError(msg)


def _parsed(text: str) -> Location:
    document: object = json.loads(text)
    match document:
        case {"port": int(port), "pid": int(pid), "started_at": str(started_at), "token": str(token)}:
            if 0 < port <= _HIGHEST_PORT and token.isascii() and token.isprintable() and token:
                return Location(port, pid, started_at, token)
    msg = "port, pid, started_at and token are wanted"
    raise ValueError(msg)

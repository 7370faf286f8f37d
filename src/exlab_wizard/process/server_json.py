"""`server.json`: where the running application answers, and the token that lets its owner in.

Its owner alone can read it from its first byte; it is replaced in one step, and gone when the server is. A reader
trusts no file that others may read or write. What it says may still be stale: the port may belong to another program
by now, so the token goes only to a server that has proved that it knows it.
"""

from __future__ import annotations

import hmac
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from exlab_wizard.domain.codec import decode
from exlab_wizard.errors import ExlabError

CHALLENGE_HEADER: Final = "X-Exlab-Challenge"
_LONGEST: Final = 4096
_HIGHEST_PORT: Final = 65_535


class ServerFileError(ExlabError):
    """`server.json` is missing, not trusted, or damaged."""


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """What the file holds. The port is one of 127.0.0.1; `pid` and `started_at` tell a stale file from a living one."""

    port: int
    pid: int
    started_at: str
    token: str = field(repr=False)

    @property
    def url(self) -> str:
        """The address for a browser or a script; without the token it shows nothing."""
        return f"http://127.0.0.1:{self.port}/"


def write_private(path: Path, document: Mapping[str, object]) -> None:
    """Write `document` as JSON into a file that only its owner may read, in one step.

    Raises:
        OSError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a path cannot be created with a mode
        json.dump(document, file)
    part.replace(path)


def require_server_file(path: Path) -> ServerAddress:
    """Return what the file holds.

    Raises:
        ServerFileError: it is missing, not ours alone, or damaged.
    """
    try:
        text = _text(path)
    except FileNotFoundError as error:
        why = "the application is not running, or its server has not started yet"
        msg = f"there is no {path.name} in {str(path.parent)!r}: {why}"
        raise ServerFileError(msg) from error
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read {str(path)!r}: {error}. Restart the application."
        raise ServerFileError(msg) from error
    try:
        return _parsed(text)
    except (ValueError, RecursionError) as error:
        msg = f"{str(path)!r} is damaged, or belongs to another program: {error}. Restart the application."
        raise ServerFileError(msg) from error


def read_server_file(path: Path) -> ServerAddress | None:
    """Return what the file holds; None where `require_server_file` raises."""
    try:
        return require_server_file(path)
    except ServerFileError:
        return None


def proof_of(token: str, challenge: str) -> str:
    """Return the answer to `challenge` that only a process that knows `token` can compute."""
    return hmac.digest(token.encode(), f"exlab-wizard server {challenge}".encode(), "sha256").hex()


def _text(path: Path) -> str:
    # Opened first, checked then: what is judged is what is read.
    with open(path, "rb", opener=_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is not a regular file")
        if os.name == "posix":
            _require_ours(status)
        return file.read(_LONGEST).decode()


def _without_waiting(path: str, flags: int) -> int:
    """Open as usual, but never wait for the other end of a pipe that lies in the file's place."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _require_ours(status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise PermissionError("it belongs to another account, so it is not trusted")
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise PermissionError("other accounts may read or write it, so it is not trusted; its mode must be 0600")


def _parsed(text: str) -> ServerAddress:
    address = decode(ServerAddress, json.loads(text))
    if not (0 < address.port <= _HIGHEST_PORT and address.token.isascii() and address.token.isprintable()):
        raise ValueError("its port or token is not valid")
    if not address.token:
        raise ValueError("its token is empty")
    return address

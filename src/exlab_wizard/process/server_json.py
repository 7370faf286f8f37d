"""`server.json`: where the running application answers, and the token that lets its owner in.

Readable by its owner only from its first byte, replaced in one step, gone when the server is.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """What the file holds. The port is one of 127.0.0.1; `pid` and `started_at` tell a stale file from a living one."""

    port: int
    pid: int
    started_at: str
    token: str


def write_server_file(path: Path, address: ServerAddress) -> None:
    """Put the file in its place in one step, whatever lay there before.

    Raises:
        OSError: it cannot be written.
    """
    write_private(path, asdict(address))


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


def read_server_file(path: Path) -> ServerAddress | None:
    """Return what the file holds; None where there is none that can be read."""
    try:
        return ServerAddress(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def remove_server_file(path: Path) -> None:
    """Remove the file, if it is there. Only the holder of the instance lock may."""
    path.unlink(missing_ok=True)


CHALLENGE_HEADER: Final = "X-Exlab-Challenge"


def proof_of(token: str, challenge: str) -> str:
    """Return what only who knows `token` can answer to `challenge`."""
    return hmac.digest(token.encode(), f"exlab-wizard server {challenge}".encode(), "sha256").hex()

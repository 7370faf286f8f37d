"""`page.json` lets an open page find the next launch: it holds the port, and the secret that page keys are made from.

Readable by its owner only. It lives as long as the state dir; without it, pages have to be opened again.
"""

from __future__ import annotations

import json
import logging
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from exlab_wizard.process.server_json import write_private

log = logging.getLogger(__name__)

_SECRET_BYTES: Final = 32
_HIGHEST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class PageFile:
    """The content of the file; `port` is that of the last launch, 0 where unknown."""

    port: int
    secret: str


def read_page_file(path: Path) -> PageFile:
    """Return the content of the file, or a new secret where it cannot be read."""
    try:
        found = PageFile(**json.loads(path.read_text(encoding="utf-8")))
        if type(found.port) is int and 0 < found.port <= _HIGHEST_PORT and isinstance(found.secret, str):
            bytes.fromhex(found.secret)
            if len(found.secret) == 2 * _SECRET_BYTES:
                return found
    except (OSError, ValueError, TypeError):
        pass
    return PageFile(0, secrets.token_hex(_SECRET_BYTES))


def keep_page_file(path: Path, found: PageFile, port: int) -> None:
    """Record that this launch answers at `port`, unless the file already says so."""
    if found.port == port:
        return
    try:
        write_private(path, asdict(PageFile(port, found.secret)))
    except OSError as error:
        log.warning("open pages will not reconnect to the next launch: cannot write %s: %s", path, error.strerror)

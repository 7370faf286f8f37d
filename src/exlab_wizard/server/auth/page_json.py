"""`page.json`: what an open page finds the next launch by: the port, and the secret that its key is made from.

Readable by its owner only. It holds for as long as the state dir does; without it pages are opened anew.
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
    """What the file holds; `port` is where the last launch answered, 0 where that is not known."""

    port: int
    secret: str


def read_page_file(path: Path) -> PageFile:
    """Return what the file holds, or a new secret where there is none that can be read."""
    try:
        held = PageFile(**json.loads(path.read_text(encoding="utf-8")))
        if type(held.port) is int and 0 < held.port <= _HIGHEST_PORT and isinstance(held.secret, str):
            bytes.fromhex(held.secret)
            if len(held.secret) == 2 * _SECRET_BYTES:
                return held
    except (OSError, ValueError, TypeError):
        pass
    return PageFile(0, secrets.token_hex(_SECRET_BYTES))


def keep_page_file(path: Path, held: PageFile, port: int) -> None:
    """Write down that this launch answers at `port`, unless the file says so already."""
    if held.port == port:
        return
    try:
        write_private(path, asdict(PageFile(port, held.secret)))
    except OSError as error:
        log.warning("pages that are open will not find the next launch by themselves: %s: %s", path, error.strerror)

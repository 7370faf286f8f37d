"""Whether a refusal is read by a person who went to a page, or by a program."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

_PROGRAMS: Final = "/api/"


def wants_page(scope: Scope) -> bool:
    """Return whether a browser goes to this address to show what it gets."""
    if str(scope["path"]).startswith(_PROGRAMS):
        return False
    headers = Headers(scope=scope)
    mode = headers.get("sec-fetch-mode")
    return mode == "navigate" if mode is not None else "text/html" in headers.get("accept", "")

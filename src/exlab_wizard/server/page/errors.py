"""Whether a refusal is read by a person who went to a page, or by a program; and where a person goes on from it."""

from __future__ import annotations

import re
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

_PROGRAMS: Final = "/api/"
FIRST: Final = ("/", "To the first page")
_NOT_FOUND: Final = 404
# Forms are sent to where no page is.
_FORMS: Final = (
    (re.compile(r"(/runs/[0-9]{1,19})/[a-z]+"), "Back to the run"),
    (re.compile(r"(/settings)/.+"), "Back to the settings"),
    (re.compile(r"(/quit)(?:/answer)?"), "Back to Quit"),
    (re.compile(r"(/add)"), "Back to Add a run"),
)


def wants_page(scope: Scope) -> bool:
    """Return whether a browser goes to this address to show what it gets."""
    if str(scope["path"]).startswith(_PROGRAMS):
        return False
    headers = Headers(scope=scope)
    mode = headers.get("sec-fetch-mode")
    return mode == "navigate" if mode is not None else "text/html" in headers.get("accept", "")


def way_back(scope: Scope, status: int) -> tuple[str, str]:
    """Return the path of the page whose form was refused with `status`, and the words of the link to it."""
    if scope["method"] == "POST" and status != _NOT_FOUND:
        for form, words in _FORMS:
            if found := form.fullmatch(str(scope["path"])):
                return found[1], words
    return FIRST

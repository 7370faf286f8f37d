"""Forms: the fields that a browser sends when a button is pressed, and the answer, with or without the script.

Paths in forms and URLs are any bytes, as ASCII.
"""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from exlab_wizard.server.errors import ApiError, Code

LIVE: Final = "x-exlab-live"
"""The header of requests by the script."""
MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
MOST_FIELDS: Final = 200
NO_CONTENT: Final = 204
SEE_OTHER: Final = 303
LONGEST_ADDRESS: Final = 12_288
"""In characters: each byte of the longest path takes three."""


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form; of those with the same name, the last.

    Raises:
        ApiError: the body is not a form.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise ApiError(Code.BAD_REQUEST, "The body cannot be read. Send a form.")
    try:
        text = (await request.body()).decode()
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"))
    except ValueError as error:
        raise ApiError(Code.BAD_REQUEST, "The body cannot be read. Send a form in UTF-8.") from error


def done(request: Request, back: str) -> Response:
    """Return the answer to an action: nothing for the script, which refreshes the page, else a redirect to `back`."""
    return Response(status_code=NO_CONTENT) if LIVE in request.headers else RedirectResponse(local(back), SEE_OTHER)


def local(back: str) -> str:
    """Return `back` if it is a path of this server, else the first page: a form must not lead to another site."""
    parts = urlsplit(back)
    plain = back.startswith("/") and not back.startswith("//") and "\\" not in back and back.isprintable()
    return back if plain and not (parts.scheme or parts.netloc) else "/"


def address(path: object) -> str:
    """Return `path`, in the form of `os.fsdecode`, as ASCII for a form; for a query, quote it again."""
    return quote(os.fsencode(str(path)), safe="/")


def path_of(address: str) -> str:
    """Return the path that `address` was made from.

    Raises:
        ValueError: it is longer than any path.
    """
    if len(address) > LONGEST_ADDRESS:
        raise ValueError("longer than any path")
    return os.fsdecode(unquote_to_bytes(address))

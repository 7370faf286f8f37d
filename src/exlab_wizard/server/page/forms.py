"""Forms: the fields that a browser sends when a button is pressed, and the answer, with or without the script."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from exlab_wizard.server.errors import ApiError, Code
from exlab_wizard.server.page.views import LIVE

MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
MOST_FIELDS: Final = 200
NO_CONTENT: Final = 204
SEE_OTHER: Final = 303


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

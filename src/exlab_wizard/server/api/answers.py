"""How views go out: as JSON, with the fields of their dataclasses."""

from __future__ import annotations

import json
from collections.abc import Callable

from starlette.responses import Response

from exlab_wizard.domain.codec import encode
from exlab_wizard.paths import printable
from exlab_wizard.server.errors import MEDIA_TYPE


def answer(view: object, status: int = 200, text: Callable[[str], str] = printable) -> Response:
    r"""Return the view as the body of an answer; bytes of a name that are not UTF-8 appear as `\xNN`."""
    return Response(json.dumps(encode(view, text)), status, media_type=MEDIA_TYPE)

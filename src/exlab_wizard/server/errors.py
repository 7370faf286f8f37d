"""The one form of every refusal and failure: an envelope with a code for programs, a sentence for people, a trace id.

The trace id is in the log line of the same request. Nothing of a request is repeated that it did not itself name, and
no exception's text reaches a client unless it was written for people.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]
MEDIA_TYPE: Final = "application/json"


class Code(StrEnum):
    """What went wrong, for programs; each has one status."""

    BAD_REQUEST = "bad_request"
    """400: not HTTP, not JSON, or nothing that can be read as a request."""
    BAD_HOST = "bad_host"
    """400: the request names another host than this machine's loopback address with our port."""
    UNAUTHORIZED = "unauthorized"
    """401: neither a valid token nor a valid cookie."""
    CROSS_ORIGIN = "cross_origin"
    """403: a browser sent this on behalf of another site."""
    OUTSIDE_ROOTS = "outside_roots"
    """403: the run lies outside the folders that `server.roots` allows."""
    NOT_FOUND = "not_found"
    """404: there is no such page, session or job."""
    METHOD_NOT_ALLOWED = "method_not_allowed"
    """405: `Allow` names the methods that this path knows."""
    SESSION_EXPIRED = "session_expired"
    """409: its heartbeats stopped for longer than its time to live."""
    SESSION_CLOSED = "session_closed"
    """409: it was completed or aborted before, with another content."""
    ID_TAKEN = "id_taken"
    """409: the id that the client chose names a session with another content."""
    ILLEGAL_MOVE = "illegal_move"
    """409: the job's state forbids it; `details.legal_moves` names what it may become."""
    NO_QUESTION = "no_question"
    """409: no quit waits for an answer."""
    NO_WINDOW = "no_window"
    """409: the application cannot open its window where it runs."""
    TOO_LARGE = "too_large"
    """413: the body is larger than 1 MiB."""
    INVALID = "invalid"
    """422: a value is missing or not allowed; `field` names the first, `details.errors` all."""
    RUN_REFUSED = "run_refused"
    """422: the run cannot be synced as it is; `details.kind` says in which way."""
    UNKNOWN_DESTINATION = "unknown_destination"
    """422: no destination of that name is configured; `details.known` names those that are."""
    TOO_MANY_STREAMS = "too_many_streams"
    """429: more event streams are open than the server keeps."""
    INTERNAL = "internal"
    """500: a fault of the program; the log has its trace under the trace id."""
    SHUTTING_DOWN = "shutting_down"
    """503: the application drains; no session opens until its next start."""
    BUSY = "busy"
    """503: too much waits already, or the lease is just being judged; the same request again will do."""
    DATABASE_UNAVAILABLE = "database_unavailable"
    """503: the database could not be read or written in time; nothing was changed."""
    PATH_UNREACHABLE = "path_unreachable"
    """503: the file system of the run, or of a destination, did not answer in time."""


STATUS: Final[dict[Code, int]] = {
    Code.BAD_REQUEST: 400,
    Code.BAD_HOST: 400,
    Code.UNAUTHORIZED: 401,
    Code.CROSS_ORIGIN: 403,
    Code.OUTSIDE_ROOTS: 403,
    Code.NOT_FOUND: 404,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.SESSION_EXPIRED: 409,
    Code.SESSION_CLOSED: 409,
    Code.ID_TAKEN: 409,
    Code.ILLEGAL_MOVE: 409,
    Code.NO_QUESTION: 409,
    Code.NO_WINDOW: 409,
    Code.TOO_LARGE: 413,
    Code.INVALID: 422,
    Code.RUN_REFUSED: 422,
    Code.UNKNOWN_DESTINATION: 422,
    Code.TOO_MANY_STREAMS: 429,
    Code.INTERNAL: 500,
    Code.SHUTTING_DOWN: 503,
    Code.BUSY: 503,
    Code.DATABASE_UNAVAILABLE: 503,
    Code.PATH_UNREACHABLE: 503,
}
NOTHING_HERE: Final = "There is nothing at this path. docs/api.md lists the paths."
_RETRY_AFTER_SECONDS: Final[dict[Code, int]] = {
    Code.TOO_MANY_STREAMS: 5,
    Code.SHUTTING_DOWN: 10,
    Code.BUSY: 1,
    Code.DATABASE_UNAVAILABLE: 2,
    Code.PATH_UNREACHABLE: 10,
}


class ErrorContent(BaseModel):
    """What went wrong."""

    code: Code = Field(description="for programs; the list is closed within a version")
    message: str = Field(description="one or two sentences for people: what, where, what to do")
    field: str | None = Field(default=None, description="the part of the request that is meant, such as `runs.0.path`")
    details: dict[str, object] | None = Field(default=None, description="more for programs, by code")
    trace_id: str = Field(description="16 hexadecimal digits that are in the log line of this request too")


class ErrorBody(BaseModel):
    """The envelope."""

    error: ErrorContent


class ApiError(HTTPException):
    """A refusal that a handler decided on."""

    def __init__(
        self, code: Code, message: str, *, field: str | None = None, details: Mapping[str, Json] | None = None
    ) -> None:
        """Compose it; the status and `Retry-After` follow from the code."""
        super().__init__(STATUS[code], message)
        self.code, self.message, self.field, self.details = code, message, field, details


_MEANINGS: Final[dict[int, str]] = {
    400: "Not readable, or for another host",
    401: "No valid token or cookie",
    403: "Refused",
    404: "No such thing",
    409: "The state of things forbids it",
    413: "The body is too large",
    422: "A value is missing or not allowed",
    429: "Too many event streams",
    500: "A fault of the program",
    503: "Not now; `Retry-After` says when",
}
_ANYWHERE: Final = (400, 401, 403, 413, 500, 503)


def refusals(*statuses: int) -> dict[int | str, dict[str, object]]:
    """Return, for the documentation, the refusals of a route: `statuses` and those that every route has."""
    return {
        status: {"model": ErrorBody, "description": _MEANINGS[status]} for status in sorted({*_ANYWHERE, *statuses})
    }


def new_trace_id() -> str:
    """Return 16 hexadecimal digits."""
    return secrets.token_hex(8)


def envelope(error: ApiError, trace_id: str) -> bytes:
    """Return the body of a refusal."""
    content: dict[str, Json] = {"code": error.code.value, "message": error.message}
    if error.field is not None:
        content["field"] = error.field
    if error.details is not None:
        content["details"] = error.details
    return json.dumps({"error": {**content, "trace_id": trace_id}}).encode()


def refusal(error: ApiError, trace_id: str) -> Response:
    """Return the whole answer."""
    headers = dict(error.headers or {})
    if error.code in _RETRY_AFTER_SECONDS:
        headers["Retry-After"] = str(_RETRY_AFTER_SECONDS[error.code])
    if error.code is Code.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(envelope(error, trace_id), error.status_code, headers, MEDIA_TYPE)


def as_api_error(error: Exception) -> ApiError:
    """Return what a client is told about `error`; what nobody foresaw is a fault of ours and stays in the log."""
    match error:
        case ApiError():
            return error
        case RequestValidationError():
            return _invalid(error)
        case HTTPException(status_code=404):
            return ApiError(Code.NOT_FOUND, NOTHING_HERE)
        case HTTPException(status_code=405, headers=headers):
            refused = ApiError(
                Code.METHOD_NOT_ALLOWED, "This path does not know this method; Allow names those it knows."
            )
            refused.headers = headers
            return refused
        case HTTPException(status_code=400):
            return ApiError(Code.BAD_REQUEST, "The body cannot be read; send JSON in UTF-8.")
        case _:
            message = "The application made a mistake. Its log has the details under this trace id."
            return ApiError(Code.INTERNAL, message)


def trace_id_of(request: Request) -> str:
    """Return the trace id that the request was given when it came in."""
    return str(request.state.trace_id)


def _invalid(error: RequestValidationError) -> ApiError:
    faults = [(_field(fault["loc"]), str(fault["msg"]), str(fault["type"])) for fault in error.errors()]
    field, message, kind = faults[0]
    if kind == "json_invalid":
        return ApiError(Code.BAD_REQUEST, "The body is not JSON.")
    errors = [{"field": name, "message": said} for name, said, _ in faults]
    sentence = f"{field}: {message}." if field else f"{message}."
    return ApiError(Code.INVALID, sentence, field=field or None, details={"errors": errors})


def _field(location: Sequence[int | str]) -> str:
    """Return where in body, path or query the fault is; the first part only says which of the three."""
    return ".".join(str(part) for part in location[1:])

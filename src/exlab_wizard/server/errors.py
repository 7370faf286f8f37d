"""The one form of every error answer: an envelope with a code for programs, a sentence for people, and a trace id.

The log line of the same request has the trace id. The text of an exception reaches a client only if it was written for
people, and values of a request are not repeated.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Self

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from exlab_wizard.domain.codec import Json

MEDIA_TYPE: Final = "application/json"


class Code(StrEnum):
    """The kinds of errors, for programs, each with its HTTP status and when to try again, if that may help."""

    status: int
    retry_after_s: int | None

    def __new__(cls, value: str, status: int, retry_after_s: int | None = None) -> Self:
        """Make a member that is its value, and knows its status."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.status, member.retry_after_s = status, retry_after_s
        return member

    BAD_REQUEST = "bad_request", 400
    """Not HTTP, not JSON, or a request that cannot be read."""
    BAD_HOST = "bad_host", 400
    """`Host` is not this machine's loopback address with our port."""
    UNAUTHORIZED = "unauthorized", 401
    """Neither a valid token nor a valid cookie."""
    OTHER_ACCOUNT = "other_account", 403
    """The connection belongs to another account of this machine."""
    CROSS_ORIGIN = "cross_origin", 403
    """A browser sent this on behalf of another site."""
    OUTSIDE_ROOTS = "outside_roots", 403
    """The run lies outside the folders that `server.roots` allows."""
    NOT_FOUND = "not_found", 404
    """There is no such page, session or job."""
    METHOD_NOT_ALLOWED = "method_not_allowed", 405
    """`Allow` names the methods of this path."""
    SESSION_EXPIRED = "session_expired", 409
    """The heartbeats stopped for longer than the session's time to live."""
    SESSION_CLOSED = "session_closed", 409
    """The session was completed or aborted before, with other content."""
    ID_TAKEN = "id_taken", 409
    """The id that the client chose belongs to a session with other content."""
    ILLEGAL_MOVE = "illegal_move", 409
    """The job's state forbids it; `details.legal_moves` names the states it may enter."""
    NO_QUESTION = "no_question", 409
    """No quit waits for an answer."""
    NO_WINDOW = "no_window", 409
    """The application cannot open its window where it runs."""
    TOO_LARGE = "too_large", 413
    """The body is larger than 1 MiB."""
    INVALID = "invalid", 422
    """A value is missing or not allowed; `field` names the first, `details.errors` all."""
    RUN_REFUSED = "run_refused", 422
    """The run cannot be synced as it is; `details.kind` says why."""
    UNKNOWN_DESTINATION = "unknown_destination", 422
    """No destination of that name is configured; `details.known` names those that are."""
    TOO_MANY_STREAMS = "too_many_streams", 429, 5
    """More event streams are open than the server allows."""
    INTERNAL = "internal", 500
    """An internal error; the log has its trace under the trace id."""
    SHUTTING_DOWN = "shutting_down", 503, 10
    """The application is quitting; no session opens until its next launch."""
    BUSY = "busy", 503, 1
    """Too many requests wait, or the lease is just being judged; send the same request again."""
    DATABASE_UNAVAILABLE = "database_unavailable", 503, 2
    """The database could not be read or written in time; nothing was changed."""
    PATH_UNREACHABLE = "path_unreachable", 503, 10
    """The file system of the run, or of a destination, did not answer in time."""


NOTHING_HERE: Final = "There is nothing at this path. docs/api.md lists the paths."


class ErrorContent(BaseModel):
    """The error."""

    code: Code = Field(description="for programs; the list is fixed within a version")
    message: str = Field(description="one or two sentences for people: what happened, where, and what to do")
    field: str | None = Field(default=None, description="the part of the request at fault, such as `runs.0.path`")
    details: dict[str, object] | None = Field(default=None, description="more for programs, depending on the code")
    trace_id: str = Field(description="16 hexadecimal digits; the log line of this request contains them too")


class ErrorBody(BaseModel):
    """The envelope."""

    error: ErrorContent


class ApiError(HTTPException):
    """An error that a handler raises; the status and `Retry-After` follow from the code."""

    def __init__(
        self, code: Code, message: str, *, field: str | None = None, details: Mapping[str, Json] | None = None
    ) -> None:
        super().__init__(code.status, message)
        self.code, self.message, self.field, self.details = code, message, field, details


_MEANINGS: Final[dict[int, str]] = {
    400: "Malformed, or for another host",
    401: "No valid token or cookie",
    403: "Forbidden",
    404: "Not found",
    409: "Not possible in the present state",
    413: "The body is too large",
    422: "A value is missing or not allowed",
    429: "Too many event streams",
    500: "Internal error",
    503: "Not available now; `Retry-After` says when to try again",
}
_ANYWHERE: Final = (400, 401, 403, 413, 500, 503)


def refusals(*statuses: int) -> dict[int | str, dict[str, object]]:
    """Return the error answers of a route for the schema: `statuses` and those that every route has."""
    return {
        status: {"model": ErrorBody, "description": _MEANINGS[status]} for status in sorted({*_ANYWHERE, *statuses})
    }


def new_trace_id() -> str:
    """Return 16 hexadecimal digits."""
    return secrets.token_hex(8)


def refusal(error: ApiError, trace_id: str) -> Response:
    """Return the whole error answer."""
    content: dict[str, Json] = {"code": error.code.value, "message": error.message}
    if error.field is not None:
        content["field"] = error.field
    if error.details is not None:
        content["details"] = error.details
    headers = dict(error.headers or {})
    if error.code.retry_after_s is not None:
        headers["Retry-After"] = str(error.code.retry_after_s)
    if error.code is Code.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    body = json.dumps({"error": {**content, "trace_id": trace_id}})
    return Response(body, error.status_code, headers, MEDIA_TYPE)


def as_api_error(error: Exception) -> ApiError:
    """Return the error that a client gets for `error`; details of an unexpected one stay in the log."""
    match error:
        case ApiError():
            return error
        case RequestValidationError():
            return _invalid(error)
        case HTTPException(status_code=404):
            return ApiError(Code.NOT_FOUND, NOTHING_HERE)
        case HTTPException(status_code=405, headers=headers):
            refused = ApiError(Code.METHOD_NOT_ALLOWED, "This path does not support this method; see the Allow header.")
            refused.headers = headers
            return refused
        case HTTPException(status_code=400):
            return ApiError(Code.BAD_REQUEST, "The body cannot be read. Send JSON in UTF-8.")
        case _:
            message = "The application failed to handle this request. Its log has the details under this trace id."
            return ApiError(Code.INTERNAL, message)


def _invalid(error: RequestValidationError) -> ApiError:
    if error.errors()[0]["type"] == "json_invalid":
        return ApiError(Code.BAD_REQUEST, "The body is not valid JSON.")
    # The first part of a location says whether it is in body, path or query.
    errors = [{"field": ".".join(map(str, one["loc"][1:])), "message": str(one["msg"])} for one in error.errors()]
    field, message = errors[0]["field"], errors[0]["message"]
    sentence = f"{field}: {message}." if field else f"{message}."
    return ApiError(Code.INVALID, sentence, field=field or None, details={"errors": errors})

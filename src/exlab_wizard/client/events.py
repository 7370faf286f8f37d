"""Follows the application's event stream, and resumes after the last event when the connection is lost."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exlab_wizard.client.errors import UnreachableError
from exlab_wizard.client.http import Transport, faults

if TYPE_CHECKING:
    from http.client import HTTPResponse

SILENCE_SECONDS: Final = 45.0
"""The server sends something, if only a comment, more often than that."""
_PAUSE_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the application: its kind, its data, and the id after which a later `events` continues."""

    id: str
    kind: str
    data: Mapping[str, object]


def listen(transport: Transport, after: str | None, timeout_s: float, *, answers: bool) -> Iterator[Event]:
    """Yield events, after the event `after` if there is one; connect again when the stream ends.

    `timeout_s` is how long the application may be unreachable; with `answers`, a quit may ask its question here.

    Raises:
        UnreachableError: the application was unreachable for too long.
        AnswerError: it refuses the stream.
    """
    last, lost_at = after, None
    expected: tuple[type[Exception], ...] = (UnreachableError, *faults())
    while True:
        headers = {"Accept": "text/event-stream"} | ({} if last is None else {"Last-Event-ID": last})
        try:
            with transport.stream(f"/events?answers={str(answers).lower()}", headers, SILENCE_SECONDS) as response:
                lost_at = None
                for event in _events(response, last or ""):
                    last = event.id or None
                    yield event
        except expected as error:
            lost_at = time.monotonic() if lost_at is None else lost_at
            if time.monotonic() - lost_at >= timeout_s:
                if isinstance(error, UnreachableError):
                    raise
                msg = f"the event stream was interrupted: {str(error) or type(error).__name__}"
                raise UnreachableError(msg) from error
        threading.Event().wait(_PAUSE_SECONDS)


def _events(response: HTTPResponse, last: str) -> Iterator[Event]:
    """Yield the events of one connection. An event that was interrupted is sent again."""
    kind = "message"
    data: list[str] = []
    while line := response.readline():
        text = line.decode().rstrip("\r\n")
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            last = value
        elif name == "event":
            kind = value
        elif name == "data":
            data.append(value)
        elif not text and data:
            yield Event(last, kind, _document("\n".join(data)))
            kind, data = "message", []


def _document(text: str) -> dict[str, object]:
    try:
        document: object = json.loads(text)
    except ValueError as error:
        msg = f"an event is not JSON: {text[:100]!r}"
        raise UnreachableError(msg, sent=True) from error
    return {str(name): value for name, value in document.items()} if isinstance(document, dict) else {"value": document}

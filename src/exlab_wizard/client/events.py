"""Follows the application's event stream, and resumes after the last event when the connection is lost."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
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


class Listening:
    """One listener; it remembers the id of the last event."""

    def __init__(self, transport: Transport, after: str | None, timeout_s: float, *, answers: bool) -> None:
        """Prepare to resume after the event `after`; `timeout_s` is how long the application may be unreachable.

        `answers` says whether a quit may ask its question to this listener.
        """
        self._transport = transport
        self._path = f"/events?answers={str(answers).lower()}"
        self._last = after
        self._timeout_s = timeout_s

    def events(self) -> Iterator[Event]:
        """Yield events; connect again when the stream ends.

        Raises:
            UnreachableError: the application was unreachable for too long.
            AnswerError: it refuses the stream.
        """
        lost_at: float | None = None
        expected: tuple[type[Exception], ...] = (UnreachableError, *faults())
        while True:
            try:
                with self._connected() as response:
                    lost_at = None
                    yield from self._parsed(response)
            except expected as error:
                lost_at = time.monotonic() if lost_at is None else lost_at
                if time.monotonic() - lost_at >= self._timeout_s:
                    raise _gone(error) from error
            threading.Event().wait(_PAUSE_SECONDS)

    def _connected(self) -> AbstractContextManager[HTTPResponse]:
        headers = {"Accept": "text/event-stream"}
        if self._last is not None:
            headers["Last-Event-ID"] = self._last
        return self._transport.stream(self._path, headers, SILENCE_SECONDS)

    def _parsed(self, response: HTTPResponse) -> Iterator[Event]:
        """Yield the events of one connection. An event that was interrupted is sent again."""
        last, kind = self._last, "message"
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
                self._last = last
                yield Event(last or "", kind, _document("\n".join(data)))
                kind, data = "message", []


def _document(text: str) -> dict[str, object]:
    try:
        document: object = json.loads(text)
    except ValueError as error:
        msg = f"an event is not JSON: {text[:100]!r}"
        raise UnreachableError(msg, sent=True) from error
    return {str(name): value for name, value in document.items()} if isinstance(document, dict) else {"value": document}


def _gone(error: Exception) -> UnreachableError:
    if isinstance(error, UnreachableError):
        return error
    return UnreachableError(f"the event stream was interrupted: {str(error) or type(error).__name__}")

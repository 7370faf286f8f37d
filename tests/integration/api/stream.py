"""An event stream as a client reads it: in a thread of its own, so that a test can wait for what comes."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx
from tests.integration.api.api import PREFIX, Api
from tests.support.program import PATIENCE_SECONDS, until

from exlab_wizard.domain.codec import Json


@dataclass(frozen=True)
class Event:
    """One event as it came over the wire."""

    id: str
    name: str
    data: dict[str, Json]


class Stream:
    """An open event stream; leaving closes it."""

    def __init__(self, api: Api, after: str | None = None) -> None:
        self.got: list[Event] = []
        self.ended = threading.Event()
        headers = {} if after is None else {"Last-Event-ID": after}
        request = api.http.build_request("GET", f"{PREFIX}/events", headers=headers, timeout=None)
        self.response = api.http.send(request, stream=True)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            for line in self.response.iter_lines():
                name, _, value = line.partition(": ")
                if line:
                    fields[name] = value
                elif "data" in fields:
                    self.got.append(Event(fields["id"], fields["event"], json.loads(fields["data"])))
                    fields = {}
        except httpx.HTTPError:
            pass
        finally:
            self.ended.set()

    def close(self) -> None:
        """Go away, as a program that ends does; closing alone would not wake the thread that reads."""
        with contextlib.suppress(OSError):
            self.response.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE_SECONDS)
        self.response.close()

    def named(self, name: str) -> list[Event]:
        """Return the events of that name that came so far."""
        return [event for event in self.got if event.name == name]

    def wait_for(self, wanted: Callable[[Event], bool], what: str) -> Event:
        """Return the first event that is wanted."""
        return until(lambda: [event for event in self.got if wanted(event)], what=what)[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

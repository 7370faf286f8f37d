"""The feed of changes for event streams: numbered, kept for clients that reconnect, bounded for clients that are slow.

The watchdog reports a commit at most four times a second; then one poll of the database serves all readers. Without
readers nothing is polled; the first reader to arrive triggers a poll for what happened meanwhile. A reader that falls
behind loses its place and gets a `resync`; nothing ever waits for it. Everything but `_woken` belongs to the event
loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final

from exlab_wizard import __version__
from exlab_wizard.domain.codec import Json
from exlab_wizard.domain.quit import Phase
from exlab_wizard.domain.text.quit import farewell
from exlab_wizard.errors import ExlabError
from exlab_wizard.process.threads import call_in_loop
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.events.poll import Poller
from exlab_wizard.server.thread_pools import ThreadPool

log = logging.getLogger(__name__)

KEPT: Final = 1_024
"""How many events are kept for clients that reconnect, and how far one reader may fall behind."""
PAUSE_SECONDS: Final = 0.25
FAREWELL_SECONDS: Final = 0.5
"""How long a quit waits to read the work that is left; after that the stream ends without it."""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event of the stream; `number` counts within a launch."""

    number: int
    name: str
    text: str
    """The data, as JSON in one line."""

    @classmethod
    def of(cls, number: int, name: str, data: Json) -> StreamEvent:
        """Return the event; `data` is encoded once for all readers."""
        return cls(number, name, json.dumps(data))


class Reader:
    """One event stream."""

    def __init__(self) -> None:
        self._waiting: deque[StreamEvent] = deque()
        self._some = asyncio.Event()
        self._over = False
        self._farewell: StreamEvent | None = None

    def put(self, event: StreamEvent) -> None:
        """Queue an event; a reader that is too far behind gets a `resync` instead of what it missed."""
        if len(self._waiting) >= KEPT:
            self._waiting.clear()
            event = StreamEvent.of(event.number, "resync", {"reason": "slow_reader"})
        self._waiting.append(event)
        self._some.set()

    def end(self, last: StreamEvent | None = None) -> None:
        """End the stream, with `last`, and drop what waits before it."""
        self._farewell = self._farewell or last
        self._over = True
        self._some.set()

    async def events(self) -> AsyncIterator[StreamEvent]:
        """Yield the events to send, until the end."""
        while not self._over:
            if self._waiting:
                yield self._waiting.popleft()
            else:
                self._some.clear()
                await self._some.wait()
        if self._farewell is not None:
            yield self._farewell


class Feed:
    """All readers of one server; polls the database in `pool` while there are some."""

    def __init__(self, backend: Backend, pool: ThreadPool) -> None:
        self._backend = backend
        self._pool = pool
        self._poller = Poller(backend)
        self._kept: deque[StreamEvent] = deque(maxlen=KEPT)
        self._last = 0
        self._readers: set[Reader] = set()
        self._reading = asyncio.Lock()
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._following: asyncio.Task[None] | None = None
        self._over = False

    @contextlib.asynccontextmanager
    async def reader(self, after: str | None, *, answers: bool, page: bool = False) -> AsyncIterator[Reader]:
        """Lend a reader that continues after the event id `after`, as far as the events are still kept.

        `answers` says whether the client can answer the quit question, `page` whether it is a page.
        """
        self._loop = asyncio.get_running_loop()
        await self._read()
        reader = Reader()
        for event in self._beginning(after):
            reader.put(event)
        if (standing := self._poller.question) is not None:  # who can answer it need not have seen it begin
            reader.put(StreamEvent.of(self._last, "question", standing))
        if self._over:
            reader.end()
        self._readers.add(reader)
        self._backend.changes.subscribe(self._woken)
        self._backend.presence.enter(answers=answers, page=page)
        if self._following is None or self._following.done():
            self._following = asyncio.create_task(self._follow())
        try:
            yield reader
        finally:
            self._readers.discard(reader)
            self._backend.changes.unsubscribe(self._woken)
            self._backend.presence.leave(answers=answers, page=page)
            self._wake.set()

    def event_id(self, event: StreamEvent) -> str:
        """Return the id that a client sends back as `Last-Event-ID`."""
        return f"{self._backend.launch_id}-{event.number}"

    async def farewell(self) -> None:
        """Send all readers the end of the quit, and the work that resumes at the next launch; free without readers."""
        if not self._readers or self._backend.quit.phase is not Phase.STOPPED:
            return
        try:
            counts = await self._pool.run(self._backend.store.status.counts, FAREWELL_SECONDS)
        except Exception as error:  # boundary: a quit does not wait for its last event
            log.warning("events: cannot send the last event: %s", error)
            return
        self._last += 1
        left = {"resumable": counts.resumable, "queued": counts.queued}
        event = StreamEvent.of(self._last, "ended", {"sentence": farewell(**left), **left})
        for reader in self._readers:
            reader.end(event)

    def close(self) -> None:
        """End all streams."""
        self._over = True
        for reader in self._readers:
            reader.end()
        self._wake.set()

    def _woken(self) -> None:
        """Note that something was committed. Callable from any thread; costs next to nothing."""
        call_in_loop(self._loop, self._wake.set)

    async def _follow(self) -> None:
        while self._readers and not self._over:
            await self._wake.wait()
            self._wake.clear()
            if self._readers and not self._over:
                await self._read()
                await asyncio.sleep(PAUSE_SECONDS)

    async def _read(self) -> None:
        """Publish the changes; after an error the next poll reports them."""
        async with self._reading:
            try:
                found = await self._pool.run(self._poller.poll)
            except Exception as error:  # boundary: one failed poll must not end all later ones
                log.warning("events: cannot read the changes: %s", error, exc_info=not isinstance(error, ExlabError))
                return
        if found is None:
            # Too many to send: each client reads the present state.
            self._kept.clear()
            found = [("resync", {"reason": "too_much"})]
        for name, data in found:
            self._last += 1
            event = StreamEvent.of(self._last, name, data)
            self._kept.append(event)
            for reader in self._readers:
                reader.put(event)

    def _beginning(self, after: str | None) -> Iterator[StreamEvent]:
        if after is None:
            yield StreamEvent.of(self._last, "hello", {"launch_id": self._backend.launch_id, "version": __version__})
            return
        launch, _, number = after.rpartition("-")
        if launch != str(self._backend.launch_id) or not (number.isascii() and number.isdecimal()):
            yield StreamEvent.of(self._last, "resync", {"reason": "other_launch"})
            return
        first = self._kept[0].number if self._kept else self._last + 1
        if not first - 1 <= int(number[:20]) <= self._last:
            yield StreamEvent.of(self._last, "resync", {"reason": "too_old"})
            return
        yield from (event for event in self._kept if event.number > int(number))

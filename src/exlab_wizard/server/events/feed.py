"""The feed of what changes, for event streams: numbered, kept for those who come back, bounded for those who are slow.

The watchdog says that something was committed, at most four times a second; then one reading of the database serves all
readers. While nobody listens nothing is read, and what happened meanwhile is read when somebody comes. A reader that
does not keep up loses its place and is told so; nothing ever waits for it. Everything but `_woken` belongs to the event
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
from exlab_wizard.domain.quit import Phase
from exlab_wizard.domain.text import plural
from exlab_wizard.errors import ExlabError
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import Json
from exlab_wizard.server.events.poll import Look, News
from exlab_wizard.server.thread_pools import Lane
from exlab_wizard.store.reports.status import Counts

log = logging.getLogger(__name__)

KEPT: Final = 1_024
"""How many events are kept for those who come back, and how many one reader may be behind."""
PAUSE_SECONDS: Final = 0.25
FAREWELL_SECONDS: Final = 0.5
"""How long a quit waits for the database to say what is left; it is left unsaid otherwise."""


def farewell_of(counts: Counts) -> str:
    """Return what becomes of the work that is not done, in a sentence."""
    if counts.resumable:
        goes_on = f"{plural(counts.resumable, 'run')} {'resumes' if counts.resumable == 1 else 'resume'}"
        waiting = f", and {plural(counts.queued, 'waiting run')} with it" if counts.queued else ""
        return f"{goes_on} at the next launch{waiting}."
    if counts.queued:
        return f"{plural(counts.queued, 'waiting run')} {'goes' if counts.queued == 1 else 'go'} on at the next launch."
    return "Nothing is left to do."


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the stream; `number` counts within a launch."""

    number: int
    name: str
    text: str
    """Its data, as JSON in one line."""

    @classmethod
    def of(cls, number: int, name: str, data: Json) -> Event:
        """Return the event with `data` written down, once for all readers."""
        return cls(number, name, json.dumps(data))


class Reader:
    """One event stream."""

    def __init__(self) -> None:
        """Begin with nothing to send."""
        self._waiting: deque[Event] = deque()
        self._some = asyncio.Event()
        self._over = False
        self._farewell: Event | None = None

    def put(self, event: Event) -> None:
        """Let it be sent; a reader that is too far behind gets a `resync` instead of what it missed."""
        if len(self._waiting) >= KEPT:
            self._waiting.clear()
            event = Event.of(event.number, "resync", {"reason": "slow_reader"})
        self._waiting.append(event)
        self._some.set()

    def end(self) -> None:
        """End the stream, whatever waits."""
        self._over = True
        self._some.set()

    def finish(self, last: Event) -> None:
        """End the stream with `last`, whatever waits before it."""
        self._farewell = last
        self.end()

    async def events(self) -> AsyncIterator[Event]:
        """Yield what is to be sent, until the end."""
        while not self._over:
            if self._waiting:
                yield self._waiting.popleft()
            else:
                self._some.clear()
                await self._some.wait()
        if self._farewell is not None:
            yield self._farewell


class Feed:
    """All readers of one server."""

    def __init__(self, backend: Backend, lane: Lane) -> None:
        """Read the database in `lane`; nothing is read before somebody listens."""
        self._backend = backend
        self._lane = lane
        self._look = Look(backend)
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._last = 0
        self._readers: set[Reader] = set()
        self._reading = asyncio.Lock()
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._following: asyncio.Task[None] | None = None
        self._over = False

    @contextlib.asynccontextmanager
    async def reader(self, after: str | None, *, answers: bool, page: bool = False) -> AsyncIterator[Reader]:
        """Lend a reader that goes on after the event id `after`, as far as that is still known.

        `answers` says whether the question of a quit can be put to whoever reads, `page` whether that is a page.
        """
        self._loop = asyncio.get_running_loop()
        await self._read()
        reader = Reader()
        for event in self._beginning(after):
            reader.put(event)
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

    def event_id(self, event: Event) -> str:
        """Return what a client sends back as `Last-Event-ID`."""
        return f"{self._backend.launch_id}-{event.number}"

    async def farewell(self) -> None:
        """Tell all readers that the quit is over, and what goes on at the next launch; costs nothing without any."""
        if not self._readers or self._backend.quit.phase is not Phase.STOPPED:
            return
        try:
            counts = await self._lane.run(self._backend.store.status.counts, FAREWELL_SECONDS)
        except Exception as error:  # boundary: no farewell is worth holding up a quit
            log.warning("events: %s", error)
            return
        self._last += 1
        told: Json = {"sentence": farewell_of(counts), "resumable": counts.resumable, "queued": counts.queued}
        event = Event.of(self._last, "ended", told)
        for reader in self._readers:
            reader.finish(event)

    def close(self) -> None:
        """End all streams."""
        self._over = True
        for reader in self._readers:
            reader.end()
        self._wake.set()

    def _woken(self) -> None:
        """Hear that something was committed. Callable from any thread, for next to nothing."""
        if self._loop is not None:
            # A loop that has just been closed needs no waking.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wake.set)

    async def _follow(self) -> None:
        while self._readers and not self._over:
            await self._wake.wait()
            self._wake.clear()
            if self._readers and not self._over:
                await self._read()
                await asyncio.sleep(PAUSE_SECONDS)

    async def _read(self) -> None:
        """Publish what is new; what cannot be read now is read at the next change."""
        async with self._reading:
            try:
                found = await self._lane.run(self._look.news)
            except Exception as error:  # boundary: one look that fails must not end all that follow
                log.warning("events: %s", error, exc_info=not isinstance(error, ExlabError))
                return
        if found is None:
            # More than is worth sending: everybody looks for himself.
            self._kept.clear()
            found = [News("resync", {"reason": "too_much"})]
        for news in found:
            self._last += 1
            event = Event.of(self._last, news.name, news.data)
            self._kept.append(event)
            for reader in self._readers:
                reader.put(event)

    def _beginning(self, after: str | None) -> Iterator[Event]:
        if after is None:
            yield Event.of(self._last, "hello", {"launch_id": self._backend.launch_id, "version": __version__})
            return
        launch, _, number = after.rpartition("-")
        if launch != str(self._backend.launch_id) or not (number.isascii() and number.isdecimal()):
            yield Event.of(self._last, "resync", {"reason": "other_launch"})
            return
        first = self._kept[0].number if self._kept else self._last + 1
        if not first - 1 <= int(number[:20]) <= self._last:
            yield Event.of(self._last, "resync", {"reason": "too_old"})
            return
        yield from (event for event in self._kept if event.number > int(number))

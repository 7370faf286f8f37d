"""The event stream over HTTP: server-sent events with ids, for pages and programs that follow changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from exlab_wizard.process.presence import Presence
from exlab_wizard.server.errors import ApiError, Code, refusals
from exlab_wizard.server.events.feed import Feed, Reader

MOST_STREAMS: Final = 32
RETRY_MILLISECONDS: Final = 1_000


def event_router(presence: Presence, feed: Feed) -> APIRouter:
    """Return `/events`."""
    router = APIRouter(tags=["events"])

    async def reading(
        request: Request,
        last_event_id: Annotated[str | None, Header(max_length=100)] = None,
        answers: Annotated[bool, Query(description="whether the client can answer the quit question")] = True,  # noqa: FBT002 - a query parameter
    ) -> AsyncIterator[None]:
        """Lend a reader before the answer begins, while it can still be refused."""
        if presence.streams >= MOST_STREAMS:
            raise ApiError(Code.TOO_MANY_STREAMS, f"{MOST_STREAMS} event streams are open already. Close one.")
        async with feed.reader(last_event_id, answers=answers, page=request.state.by_cookie) as reader:
            request.state.reader = reader
            yield

    @router.get(
        "/events", responses=refusals(422, 429), response_class=EventSourceResponse, dependencies=[Depends(reading)]
    )
    async def follow(request: Request) -> AsyncIterator[ServerSentEvent]:
        """Follow changes, from now on or after `Last-Event-ID`."""
        reader: Reader = request.state.reader
        retry: int | None = RETRY_MILLISECONDS
        async for event in reader.events():
            yield ServerSentEvent(raw_data=event.text, event=event.name, id=feed.event_id(event), retry=retry)
            retry = None

    return router

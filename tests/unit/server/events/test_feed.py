"""A reader of the feed by itself: in order, bounded, and told when it has lost its place."""

from __future__ import annotations

import asyncio

from exlab_wizard.server.events.feed import KEPT, Reader, StreamEvent


async def taken(reader: Reader, count: int) -> list[StreamEvent]:
    found: list[StreamEvent] = []
    async for event in reader.events():
        found.append(event)
        if len(found) == count:
            break
    return found


def test_events_come_in_their_order() -> None:
    async def read() -> list[StreamEvent]:
        reader = Reader()
        for number in range(1, 4):
            reader.put(StreamEvent.of(number, "job", {"n": number}))
        return await taken(reader, 3)

    assert [event.number for event in asyncio.run(read())] == [1, 2, 3]


def test_a_reader_that_is_too_far_behind_loses_its_place_and_goes_on_from_there() -> None:
    async def read() -> list[StreamEvent]:
        reader = Reader()
        for number in range(1, KEPT + 3):
            reader.put(StreamEvent.of(number, "job", {"n": number}))
        return await taken(reader, 2)

    first, second = asyncio.run(read())
    assert (first.number, first.name, first.text) == (KEPT + 1, "resync", '{"reason": "slow_reader"}')
    assert (second.number, second.name) == (KEPT + 2, "job")


def test_a_stream_that_is_ended_ends_whatever_waits() -> None:
    async def read() -> list[StreamEvent]:
        reader = Reader()
        reader.put(StreamEvent.of(1, "job", {}))
        reader.end()
        return await taken(reader, 5)

    assert asyncio.run(read()) == []

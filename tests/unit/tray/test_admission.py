"""How many connections each account may have: none of the others takes what the owner needs."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from exlab_wizard.tray import admission
from exlab_wizard.tray.admission import MOST_OF_ONE, Admission


@pytest.fixture
def counted() -> Iterator[Admission]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        counted = Admission(listening)
        with closing(counted.peers):
            yield counted


def entered(counted: Admission, *strangers: int | None) -> list[bool]:
    """Let connections of these accounts enter, in the event loop as always."""

    async def enter() -> list[bool]:
        return [counted.enter(stranger) for stranger in strangers]

    return asyncio.run(enter())


def test_of_another_account_a_few_are_let_in_and_the_log_says_so_once(
    counted: Admission, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert sum(entered(counted, *[4711] * 300)) == MOST_OF_ONE
    assert [record.getMessage() for record in caplog.records] == [
        "http: connections from uid 4711: refused, too many are open already"
    ]
    assert entered(counted, 4712, None) == [True, True]
    counted.leave(4711)
    assert entered(counted, 4711, 4711) == [True, False]


def test_of_all_others_together_there_is_a_bound_too(counted: Admission) -> None:
    assert sum(entered(counted, *range(1, 1000))) == admission.MOST_OF_OTHERS
    assert entered(counted, None) == [True]

"""Who waits for the write lock gets it in the order of asking, and whoever gives up is forgotten."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from tests.support.program import PATIENCE_SECONDS, until

from exlab_wizard.store.sqlite.fair_lock import FairLock


def in_line(lock: FairLock, count: int) -> bool:
    return len(lock._waiting) == count  # noqa: SLF001 - the line itself is what is looked at


def test_turns_are_had_in_the_order_of_asking() -> None:
    lock = FairLock()
    order: list[int] = []

    def take(number: int) -> None:
        assert lock.acquire(PATIENCE_SECONDS)
        order.append(number)
        lock.release()

    assert lock.acquire(0)
    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    for number, thread in enumerate(threads, 1):
        thread.start()
        until(partial(in_line, lock, number), what="the thread to stand in line")
    lock.release()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert order == list(range(8))


@pytest.mark.parametrize("waiters", [1, 3])
def test_whoever_gives_up_is_not_handed_the_turn(waiters: int) -> None:
    lock = FairLock()
    assert lock.acquire(0)
    assert [lock.acquire(0.001) for _ in range(waiters)] == [False] * waiters
    lock.release()
    assert lock.acquire(0)

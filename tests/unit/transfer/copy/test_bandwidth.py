"""Bandwidth limits that hold, change and let go."""

from __future__ import annotations

import threading
import time

import pytest
from tests.support.program import PATIENCE_SECONDS

from exlab_wizard.errors import StoppedError
from exlab_wizard.transfer.copy.bandwidth import TokenBucket
from exlab_wizard.transfer.ports import TransferControl

MIB = 1 << 20


def test_two_transfers_share_one_limit() -> None:
    bucket, control = TokenBucket(lambda: 4 * MIB), TransferControl()

    def send() -> None:
        for _ in range(4):
            bucket.take(MIB // 2, control)

    threads = [threading.Thread(target=send) for _ in range(2)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began >= 0.7


def test_idle_time_saves_up_a_quarter_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("exlab_wizard.transfer.copy.bandwidth.time.monotonic", lambda: now)
    bucket, control = TokenBucket(lambda: 1000.0), TransferControl()
    now += 3600
    bucket.take(250, control)
    control.request_stop("would wait")
    with pytest.raises(StoppedError):
        bucket.take(1, control)


def test_limit_that_is_lifted_meanwhile_lets_a_waiting_transfer_go() -> None:
    limits: list[float | None] = [64 * 1024.0]
    bucket, control = TokenBucket(lambda: limits[0]), TransferControl()
    done = threading.Event()
    waiting = threading.Event()

    def moved(size: int) -> None:
        assert size == 0
        waiting.set()

    def send() -> None:
        bucket.take(MIB, control)
        done.set()

    control.moved = moved  # type: ignore[method-assign]
    thread = threading.Thread(target=send)
    thread.start()
    assert waiting.wait(PATIENCE_SECONDS)
    assert not done.is_set()
    limits[0] = None
    assert done.wait(PATIENCE_SECONDS)
    thread.join()


def test_limit_that_begins_while_a_transfer_runs_holds_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("exlab_wizard.transfer.copy.bandwidth.time.monotonic", lambda: now)
    limits: list[float | None] = [None]
    bucket, control = TokenBucket(lambda: limits[0]), TransferControl()
    bucket.take(MIB, control)
    limits[0] = 1000.0
    now += 0.6
    control.request_stop("would wait")
    with pytest.raises(StoppedError):
        bucket.take(MIB, control)


def test_stop_ends_the_wait_at_a_tiny_rate() -> None:
    """A mebibyte at this rate takes seventeen minutes."""
    bucket, control = TokenBucket(lambda: 1024.0), TransferControl()
    timer = threading.Timer(0.1, control.request_stop, ["quit"])
    timer.start()
    with pytest.raises(StoppedError, match="quit"):
        bucket.take(MIB, control)
    timer.join()


def test_stopped_transfer_does_not_hold_up_those_behind_it() -> None:
    bucket, first, second = TokenBucket(lambda: 1.0 * MIB), TransferControl(), TransferControl()
    first.request_stop("quit")
    with pytest.raises(StoppedError):
        bucket.take(1000 * MIB, first)  # a quarter of an hour, if it had to be waited for
    began = time.monotonic()
    bucket.take(MIB // 4, second)
    assert time.monotonic() - began < PATIENCE_SECONDS

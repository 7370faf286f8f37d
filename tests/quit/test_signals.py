"""Signals reach whoever waits for them, whichever thread the system hands them to."""

from __future__ import annotations

import os
import signal
import threading
from queue import SimpleQueue

import pytest

from exlab_wizard.runtime.signals import signals_into

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are sent to a thread")


def test_a_signal_that_another_thread_gets_wakes_a_main_thread_that_waits() -> None:
    inbox: SimpleQueue[int] = SimpleQueue()
    ready = threading.Event()

    def elsewhere() -> None:
        assert ready.wait(10)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    other = threading.Thread(target=elsewhere)
    with signals_into(inbox.put):
        other.start()
        ready.set()
        assert {inbox.get(timeout=10), inbox.get(timeout=10)} == {signal.SIGTERM, signal.SIGINT}
    other.join()


def test_what_held_before_holds_afterwards_and_no_thread_is_left() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), threading.active_count()
    with signals_into(lambda _number: None):
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), threading.active_count()) == before
    assert signal.set_wakeup_fd(-1) == -1


def test_a_hang_up_that_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_into(lambda _number: None):
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_only_the_signals_that_end_a_program_are_handed_on() -> None:
    inbox: SimpleQueue[int] = SimpleQueue()
    before = signal.signal(signal.SIGUSR1, lambda _number, _frame: None)
    try:
        with signals_into(inbox.put):
            signal.raise_signal(signal.SIGUSR1)
            signal.raise_signal(signal.SIGTERM)
            assert inbox.get(timeout=10) == signal.SIGTERM
        assert inbox.empty()
    finally:
        signal.signal(signal.SIGUSR1, before)

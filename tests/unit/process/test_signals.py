"""Signals reach whoever waits for them, whichever thread the system hands them to."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from pathlib import Path
from queue import SimpleQueue

import pytest
from tests.support import given
from tests.support.program import PATIENCE_SECONDS

from exlab_wizard.paths import StateDir
from exlab_wizard.process.signals import signals_into
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.store import Store

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are sent to a thread")


def test_a_signal_that_another_thread_gets_wakes_a_main_thread_that_waits() -> None:
    inbox: SimpleQueue[int] = SimpleQueue()
    ready = threading.Event()

    def elsewhere() -> None:
        assert ready.wait(PATIENCE_SECONDS)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    other = threading.Thread(target=elsewhere)
    with signals_into(inbox.put):
        other.start()
        ready.set()
        assert {inbox.get(timeout=PATIENCE_SECONDS), inbox.get(timeout=PATIENCE_SECONDS)} == {
            signal.SIGTERM,
            signal.SIGINT,
        }
    other.join()


def test_signals_that_land_in_the_middle_of_commits_raise_nothing_there(tmp_path: Path) -> None:
    """A handler that raised would do so between two lines of a transaction, wherever the main thread happens to be."""
    state_dir = StateDir(tmp_path)
    given.migrate(state_dir)
    inbox: SimpleQueue[int] = SimpleQueue()
    over = threading.Event()
    sent = [0]

    def shoot() -> None:
        while not over.wait(0.0005):  # time: any moment of a commit will do
            os.kill(os.getpid(), (signal.SIGINT, signal.SIGTERM)[sent[0] % 2])
            sent[0] += 1

    with contextlib.closing(Database(state_dir.database)) as database, signals_into(inbox.put):
        store, shooter = Store(database), threading.Thread(target=shoot)
        shooter.start()
        try:
            launch_id = given.launch(store).launch_id
            jobs = given.enqueue(store, *(f"run-{number}" for number in range(300)))
            for _ in jobs:
                given.claim(store, launch_id)
        finally:
            over.set()
            shooter.join()
        assert given.execute(store, "SELECT count(*) FROM sync_jobs WHERE state = 'running'") == [(len(jobs),)]
    assert sent[0] > 20, "hardly a signal landed"
    assert not inbox.empty()


def test_what_held_before_holds_afterwards_and_no_thread_is_left() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), threading.active_count()
    with signals_into(lambda _number: None):
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), threading.active_count()) == before
    assert signal.set_wakeup_fd(-1) == -1


def test_after_the_last_block_signals_are_ignored_unless_it_failed() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(ValueError, match="cannot start"), signals_into(lambda _number: None, last=True):
            raise ValueError("cannot start")
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
        with signals_into(lambda _number: None, last=True):
            pass
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


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
            assert inbox.get(timeout=PATIENCE_SECONDS) == signal.SIGTERM
        assert inbox.empty()
    finally:
        signal.signal(signal.SIGUSR1, before)

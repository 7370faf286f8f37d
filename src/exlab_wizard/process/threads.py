"""Threads of the application, and one that is made ahead of time: a computer that is out of threads can still quit.

The task of a thread may fail with one of our errors; that is logged, and ends only the thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection
from queue import SimpleQueue

from exlab_wizard.errors import ExlabError

log = logging.getLogger(__name__)


def call_in_loop(loop: asyncio.AbstractEventLoop | None, act: Callable[[], None]) -> None:
    """Let `loop` run `act` soon, unless it does not exist yet or was closed. Callable from any thread."""
    if loop is not None:
        with contextlib.suppress(RuntimeError):  # it was closed
            loop.call_soon_threadsafe(act)


def begin(name: str, act: Callable[[], None]) -> threading.Thread:
    """Run `act` in a thread of its own.

    Raises:
        RuntimeError: no thread is available.
    """
    thread = threading.Thread(target=_guarded, args=(name, act), name=name, daemon=True)
    thread.start()
    return thread


def begin_or_do(name: str, act: Callable[[], None], timeout_s: float) -> None:
    """Run `act` in a thread and return when it is done, or hangs; without an available thread, run it here."""
    try:
        thread = begin(name, act)
    except RuntimeError:
        _guarded(name, act)
        return
    thread.join(timeout_s)
    if thread.is_alive():
        log.error("%s did not finish in time and was abandoned", name)


def left_behind(timeout_s: float, staying: Collection[str]) -> list[str]:
    """Wait for all other threads to end, at most so long in all, and return the names of those that do not.

    The main thread and those named in `staying` need not.
    """
    deadline = time.monotonic() + timeout_s
    mine = {threading.current_thread(), threading.main_thread()}
    others = [thread for thread in threading.enumerate() if thread not in mine and thread.name not in staying]
    for thread in others:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread.name for thread in others if thread.is_alive()]


def _guarded(name: str, act: Callable[[], None]) -> None:
    try:
        act()
    except ExlabError as error:
        log.error("%s: %s", name, error)  # noqa: TRY400 - the sentence says it all


class RestartableThread:
    """One thread at a time, always with the same task."""

    def __init__(self, name: str, task: Callable[[], None]) -> None:
        self._name = name
        self._task = task
        self._thread: threading.Thread | None = None
        self._may_end = False

    @property
    def alive(self) -> bool:
        """Whether it runs, was never started, or may end."""
        return self._thread is None or self._may_end or self._thread.is_alive()

    def start(self) -> None:
        """Start it, or restart it if it has died.

        Raises:
            RuntimeError: no thread is available.
        """
        if self._thread is None or not self._thread.is_alive():
            thread = threading.Thread(target=self._task, name=self._name, daemon=True)
            thread.start()
            self._thread = thread

    def join(self, timeout_s: float) -> None:
        """Return when it has ended, as its owner told it to, or after `timeout_s`."""
        self._may_end = True
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)


class LoopThread(RestartableThread):
    """A thread with an event loop, both made ahead of time."""

    def __init__(self, name: str) -> None:
        super().__init__(name, self._run)
        self._acts: SimpleQueue[Callable[[asyncio.AbstractEventLoop], None] | None] = SimpleQueue()

    def stop(self) -> None:
        """Let it end when all submitted acts are done."""
        self._acts.put(None)
        self.join(0)

    def submit(self, act: Callable[[asyncio.AbstractEventLoop], None]) -> None:
        """Let the thread run `act` with its loop, after the acts before.

        Raises:
            RuntimeError: the thread has died, and no new one is available.
        """
        self._acts.put(act)
        self.start()

    def _run(self) -> None:
        loop = asyncio.new_event_loop()
        while (act := self._acts.get()) is not None:
            act(loop)
        loop.close()

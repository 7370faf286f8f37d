"""Drives a quit down the ladder of `domain.shutdown`: close the gate, drain, ask, force, stop.

It wakes on events; the poll is only for changes by other processes. What it cannot read is unknown, never idle, and
whatever fails on the way is logged and never keeps the quit from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

from exlab_wizard.domain.clock import Clock
from exlab_wizard.domain.shutdown import DrainCount, Phase, QuitEvent, QuitOutcome, advance
from exlab_wizard.errors import ExlabError, PredicateUnreadableError
from exlab_wizard.tray.protocols import (
    DrainGate,
    DrainPredicate,
    Question,
    ServerRunner,
    Standing,
    WindowLauncher,
    WorkerControl,
)

log = logging.getLogger(__name__)

DEFAULT_TIMEOUT_SECONDS: Final = 30.0
SIGTERM_TIMEOUT_SECONDS: Final = 5.0
PREDICATE_POLL_INTERVAL_SECONDS: Final = 0.1
CHECKPOINT_GRACE_SECONDS: Final = 1.0
FORCE_RESERVE_SECONDS: Final = 2.0
"""Kept of the session-end window for checkpointing and stopping, so that the process is gone within it."""

_ANSWERS: Final = {"force": QuitEvent.FORCE, "wait": QuitEvent.WAIT, "keep_running": QuitEvent.KEEP_RUNNING}


class QuitCoordinator:
    """One quit at a time; everything but `post` and `changed` belongs to the event loop's thread."""

    def __init__(  # noqa: PLR0913 - typed collaborators, wired once in the assembly
        self,
        *,
        gate: DrainGate,
        predicate: DrainPredicate,
        workers: WorkerControl,
        question: Question,
        window: WindowLauncher,
        server: ServerRunner,
        clock: Clock,
        window_s: float = DEFAULT_TIMEOUT_SECONDS,
        session_end_window_s: float = SIGTERM_TIMEOUT_SECONDS,
    ) -> None:
        """Wire the quit; nothing happens before `quit` is called."""
        self._gate = gate
        self._predicate = predicate
        self._workers = workers
        self._question = question
        self._window = window
        self._server = server
        self._clock = clock
        self._window_s = window_s
        self._session_end_window_s = session_end_window_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._events: list[QuitEvent] = []
        self._phase = Phase.RUNNING
        self._deadline = 0.0
        self._may_ask = True
        self._unreadable = ""
        self.last_count: DrainCount | None = None

    @property
    def phase(self) -> Phase:
        """Where the application stands."""
        return self._phase

    @property
    def deadline(self) -> float:
        """When the present window ends, on the monotonic clock."""
        return self._deadline

    def post(self, event: QuitEvent) -> None:
        """Hand in an answer, a second quit, or a force. Callable from any thread."""
        self._events.append(event)
        self.changed()

    def changed(self) -> None:
        """Say that the predicate may have changed. Callable from any thread, at any time, for next to nothing."""
        loop = self._loop
        if loop is not None:
            # A loop that has just been closed needs no waking.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._wake.set)

    def hurry(self) -> None:
        """Turn a quit that is under way into one at session end: the short window, nobody asked."""
        self._may_ask = False
        self._deadline = min(self._deadline, self._clock.monotonic() + self._session_window())
        self.changed()

    async def quit(self, *, sigterm: bool = False, force: bool = False) -> QuitOutcome:
        """Quit and return how: drained, forced, or kept running. `sigterm` is session end; `force` skips the drain.

        When it returns anything but `kept_running`, workers, window and server have stopped.
        """
        self._loop = asyncio.get_running_loop()
        self._wake, self._events = asyncio.Event(), []
        self._may_ask = not sigterm
        window = self._session_window() if sigterm else self._window_s
        self._deadline = self._clock.monotonic() + window
        self._phase = advance(self._phase, QuitEvent.QUIT)
        self._note(self._gate.close)
        count = self._count()
        self._note(lambda: self._gate.begun(self._session_end_window_s if sigterm else self._window_s, count))
        if force:
            self._phase = advance(self._phase, QuitEvent.FORCE)
        outcome = QuitOutcome.DRAINED
        while self._phase not in (Phase.STOPPED, Phase.RUNNING):
            if self._phase is Phase.FORCING:
                outcome = QuitOutcome.FORCED
            event = await self._step()
            log.info("quit: %s, %s", self._phase, event)
            self._phase = advance(self._phase, event)
        self._loop = None
        if self._phase is Phase.RUNNING:
            self._keep_running()
            return QuitOutcome.KEPT_RUNNING
        self._note(lambda: self._gate.decided(outcome))
        for stop in (self._workers.stop, self._window.close, self._server.stop):
            self._note(stop)
        return outcome

    async def _step(self) -> QuitEvent:
        match self._phase:
            case Phase.ASKING:
                return await self._ask()
            case Phase.FORCING:
                return await self._force()
            case _:
                return await self._drain()

    async def _drain(self) -> QuitEvent:
        """Wait until idle, the window's end, or an event."""
        while True:
            if self._idle():
                return QuitEvent.IDLE
            if self._events:
                return self._events.pop(0)
            left = self._deadline - self._clock.monotonic()
            if left <= 0:
                askable = self._may_ask and self._question.available()
                return QuitEvent.WINDOW_OVER if askable else QuitEvent.WINDOW_OVER_UNASKABLE
            await self._sleep(min(left, PREDICATE_POLL_INTERVAL_SECONDS))

    async def _ask(self) -> QuitEvent:
        """Keep the question up while the drain goes on; the first of answer, event and idleness counts."""
        self._note(self._gate.asked)
        asking = asyncio.ensure_future(self._question.ask(self.standing))
        asking.add_done_callback(lambda _: self._wake.set())
        try:
            while True:
                if self._idle():
                    return QuitEvent.IDLE
                if self._events:
                    return self._events.pop(0)
                if asking.done():
                    return self._answered(asking)
                if not self._may_ask and self._deadline <= self._clock.monotonic():
                    return QuitEvent.WINDOW_OVER_UNASKABLE
                if not self._question.available():
                    return QuitEvent.WINDOW_OVER_UNASKABLE
                await self._sleep(PREDICATE_POLL_INTERVAL_SECONDS)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    def _answered(self, asking: asyncio.Future[str]) -> QuitEvent:
        error = asking.exception()
        if error is not None:
            log.error("the question cannot be shown: %s", error)
            return QuitEvent.WINDOW_OVER_UNASKABLE
        event = _ANSWERS[asking.result()]
        if event is QuitEvent.WAIT:
            self._note(self._gate.waited)
            self._deadline = self._clock.monotonic() + self._window_s
        return event

    async def _force(self) -> QuitEvent:
        """Stop what runs. In a thread of its own: a database or a share that hangs must not keep the quit from ending."""

        def force() -> None:
            hung = self._workers.force("cut off by a quit", CHECKPOINT_GRACE_SECONDS)
            if hung:
                log.warning("%d transfers did not react and are left behind; their jobs are marked to resume", hung)

        task = asyncio.ensure_future(asyncio.to_thread(self._note, force))
        await asyncio.wait([task], timeout=FORCE_RESERVE_SECONDS)
        if not task.done():
            log.error("the jobs in flight could not be marked in time; the next launch finds and resumes them")
        return QuitEvent.CHECKPOINTED

    def standing(self) -> Standing:
        """Return what the quit waits for now, for showing."""
        count = self._count()
        try:
            return Standing(count, self._predicate.blockers(), self._unreadable)
        except PredicateUnreadableError as error:
            return Standing(None, [], str(error))

    def _keep_running(self) -> None:
        self._note(self._gate.open)
        self._note(lambda: self._gate.decided(QuitOutcome.KEPT_RUNNING))
        self._workers.wake()

    def _idle(self) -> bool:
        count = self._count()
        return count is not None and count.idle

    def _count(self) -> DrainCount | None:
        try:
            count = self._predicate.count()
        except PredicateUnreadableError as error:
            if str(error) != self._unreadable:
                log.error("%s. The quit goes on waiting; it does not take this for idle.", error)  # noqa: TRY400
            self._unreadable = str(error)
            return None
        self._unreadable = ""
        self.last_count = count
        return count

    def _session_window(self) -> float:
        return max(0.0, self._session_end_window_s - FORCE_RESERVE_SECONDS)

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)
        self._wake.clear()

    def _note(self, act: Callable[[], None]) -> None:
        try:
            act()
        except ExlabError as error:
            log.error("while quitting: %s", error)  # noqa: TRY400 - the sentence says it all

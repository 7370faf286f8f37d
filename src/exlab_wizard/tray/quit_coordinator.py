"""Drives a quit down the ladder of `domain.quit`: close the gate, drain, ask, force, stop.

It wakes on events; the poll only catches changes that other processes make. A predicate that cannot be read is unknown,
never idle, and a step that fails is logged and never keeps the quit from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from exlab_wizard.domain.clock import Clock
from exlab_wizard.domain.quit import DrainCount, Phase, QuitAnswer, QuitEvent, QuitOutcome, QuitStatus, advance
from exlab_wizard.domain.text.amounts import elapsed, plural
from exlab_wizard.errors import ExlabError, PredicateUnreadableError
from exlab_wizard.process.threads import call_in_loop
from exlab_wizard.transfer.failures import is_exhaustion
from exlab_wizard.tray.quit_ports import DrainGate, DrainPredicate, QuitPrompt, Stoppable, Window, WorkerControl

log = logging.getLogger(__name__)

DEFAULT_TIMEOUT_SECONDS: Final = 30.0
SIGTERM_TIMEOUT_SECONDS: Final = 5.0
PREDICATE_POLL_INTERVAL_SECONDS: Final = 0.1
CHECKPOINT_GRACE_SECONDS: Final = 1.0
STOP_TIMEOUT_SECONDS: Final = 1.0
STORE_TIMEOUT_SECONDS: Final = 0.5
"""How long one read or write of the database may keep the quit from reacting to signals and answers."""
FORCE_TIMEOUT_SECONDS: Final = 2.0
FORCE_RESERVE_SECONDS: Final = 2.5
"""Kept of the session-end window for checkpointing and stopping, so that the process is gone within it."""

_Result = TypeVar("_Result")
_DATABASE: Final = "the database"


class QuitCoordinator:
    """One quit at a time; everything but `post` and `changed` belongs to the event loop's thread."""

    def __init__(  # noqa: PLR0913 - typed collaborators, wired once in the assembly
        self,
        *,
        gate: DrainGate,
        predicate: DrainPredicate,
        workers: WorkerControl,
        question: QuitPrompt,
        window: Window,
        server: Stoppable,
        clock: Clock,
        window_s: float = DEFAULT_TIMEOUT_SECONDS,
        session_end_window_s: float = SIGTERM_TIMEOUT_SECONDS,
    ) -> None:
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
        self.phase = Phase.RUNNING
        """Where the application stands."""
        # One writer each: `hurry` may come from another thread at any moment of a quit.
        self._window_end = self._session_end = math.inf
        self._closed = self._recorded = False
        self._status = QuitStatus(None, [])
        self._logged: set[str] = set()
        # Never the loop's own executor: closing the loop waits for its threads, however long they hang.
        self._storing, self._asking = ThreadPoolExecutor(1, "quit-store"), ThreadPoolExecutor(1, "quit-ask")
        # Several: a step that hangs keeps its thread.
        self._acting = ThreadPoolExecutor(4, "quit-act")

    @property
    def deadline(self) -> float:
        """When the present window ends, on the monotonic clock; infinite when there is none."""
        return min(self._window_end, self._session_end)

    @property
    def _may_ask(self) -> bool:
        return self._session_end == math.inf

    def prepare(self) -> None:
        """Open in advance what a quit needs: its threads, and a connection to the database."""
        for thread in (self._storing, self._asking, self._acting):
            thread.submit(self._predicate.count if thread is self._storing else bool)

    def post(self, event: QuitEvent) -> None:
        """Post an answer, a second quit, or a force. Callable from any thread."""
        self._events.append(event)
        self.changed()

    def changed(self) -> None:
        """Note that the predicate may have changed. Callable from any thread, at any time; costs next to nothing."""
        call_in_loop(self._loop, self._wake.set)

    def hurry(self) -> None:
        """Turn the present quit into one at session end: the short window, and no question."""
        window_s = max(0.0, self._session_end_window_s - FORCE_RESERVE_SECONDS)
        self._session_end = min(self._session_end, self._clock.monotonic() + window_s)
        self.changed()

    def forget(self) -> None:
        """Drop the events of a quit that was called off, so that they do not decide the next one.

        For the thread that posts events: only it knows that none of them belongs to the next quit.
        """
        self._events.clear()
        self._session_end = math.inf

    def close(self) -> None:
        """Let its threads end, each after its present task; call it after the last quit."""
        for threads in (self._storing, self._asking, self._acting):
            threads.shutdown(wait=False, cancel_futures=True)

    async def quit(self, *, sigterm: bool = False, force: bool = False) -> QuitOutcome:
        """Quit and return how: drained, forced, or kept running. `sigterm` is session end; `force` skips the drain.

        When it returns anything but `kept_running`, workers, window and server have stopped.
        """
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        # Events posted since the decision to quit count: a second signal may be faster than this thread.
        if sigterm:
            self.hurry()
        self._window_end = self._clock.monotonic() + self._window_s
        self.phase = advance(self.phase, QuitEvent.QUIT)
        self._closed = self._recorded = False
        self._logged.clear()
        await self._record()
        if force:
            self.phase = advance(self.phase, QuitEvent.FORCE)
        outcome = QuitOutcome.DRAINED
        while self.phase not in (Phase.STOPPED, Phase.RUNNING):
            match self.phase:
                case Phase.ASKING:
                    event = await self._ask()
                case Phase.FORCING:
                    outcome = QuitOutcome.FORCED
                    event = await self._force()
                case _:
                    event = await self._drain()
            log.info("quit: %s, %s", self.phase, event)
            self.phase = advance(self.phase, event)
        self._loop = None
        if self.phase is Phase.RUNNING:
            await self._keep_running()
            return QuitOutcome.KEPT_RUNNING
        await self._attempt(lambda: self._gate.decided(outcome))
        for name, stop in (
            ("workers", self._workers.stop),
            ("window", self._window.close),
            ("HTTP server", self._server.stop),
        ):
            await self._attempt(stop, STOP_TIMEOUT_SECONDS, self._acting, f"stopping the {name}")
        return outcome

    async def _drain(self) -> QuitEvent:
        """Wait until idle, the window's end, or an event."""
        while True:
            if await self._idle():
                return QuitEvent.IDLE
            if self._events:
                return self._events.pop(0)
            left = self.deadline - self._clock.monotonic()
            if left <= 0:
                askable = self._may_ask and await self._available()
                return QuitEvent.WINDOW_OVER if askable else QuitEvent.WINDOW_OVER_UNASKABLE
            await self._sleep(min(left, PREDICATE_POLL_INTERVAL_SECONDS))

    async def _ask(self) -> QuitEvent:
        """Show the question while the drain continues; the first of answer, event and idleness counts."""
        await self._attempt(self._gate.asked)
        await self._refresh_status()
        asking = asyncio.ensure_future(self._question.ask(lambda: self._status))
        asking.add_done_callback(lambda _: self._wake.set())
        try:
            while True:
                if await self._idle():
                    return QuitEvent.IDLE
                if self._events:
                    return await self._taken(self._events.pop(0))
                if asking.done():
                    return await self._answered(asking)
                if self._session_end <= self._clock.monotonic() or not await self._available():
                    return QuitEvent.WINDOW_OVER_UNASKABLE
                await self._sleep(PREDICATE_POLL_INTERVAL_SECONDS)
                await self._refresh_status()
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def _answered(self, asking: asyncio.Future[QuitAnswer]) -> QuitEvent:
        error = asking.exception()
        if error is not None:
            self._log_once(f"the quit question cannot be shown: {error}")
            return QuitEvent.WINDOW_OVER_UNASKABLE
        return await self._taken(QuitEvent(asking.result()))

    async def _taken(self, event: QuitEvent) -> QuitEvent:
        """Return the answer as an event; an answer to wait begins a fresh window."""
        if event is QuitEvent.WAIT:
            await self._attempt(self._gate.waited)
            self._window_end = self._clock.monotonic() + self._window_s
        return event

    async def _force(self) -> QuitEvent:
        """Stop all transfers; a database or a share that hangs does not keep the quit from ending."""

        def force() -> None:
            hung = self._workers.force("cut off by a quit", CHECKPOINT_GRACE_SECONDS)
            if hung:
                log.warning("%s did not stop; marked to resume at the next launch", plural(hung, "transfer"))

        if not await self._attempt(force, FORCE_TIMEOUT_SECONDS, self._acting, "stopping the transfers"):
            log.error("the jobs in flight could not be marked as resumable; the next launch finds and resumes them")
        return QuitEvent.CHECKPOINTED

    async def _keep_running(self) -> None:
        for act in (self._gate.open, lambda: self._gate.decided(QuitOutcome.KEPT_RUNNING), self._workers.wake):
            await self._attempt(act)

    async def _record(self) -> None:
        """Close the gate and record what the quit found; a step that fails is retried at the next poll."""
        window = self._window_s if self._may_ask else self._session_end_window_s
        self._closed = self._closed or await self._attempt(self._gate.close)
        if self._closed and not self._recorded:
            count = await self._count()
            self._recorded = await self._attempt(lambda: self._gate.begun(window, count))

    async def _available(self) -> bool:
        try:
            return await self._in_thread(self._question.available, STORE_TIMEOUT_SECONDS, self._asking, "the prompts")
        except Exception as error:  # boundary: a question that cannot be shown never keeps the quit from ending
            self._log_once(f"the quit question cannot be shown: {error}")
            return False

    async def _refresh_status(self) -> None:
        """Read what the quit waits for, to be shown."""
        count = await self._count()
        try:
            blockers = await self._in_thread(self._predicate.blockers, STORE_TIMEOUT_SECONDS, self._storing)
        except Exception as error:  # boundary: a status that cannot be shown never keeps the quit from ending
            self._status = QuitStatus(None, [], str(error))
        else:
            self._status = QuitStatus(count, blockers, self._status.trouble if count is None else "")

    async def _idle(self) -> bool:
        """Return whether the gate is known to be closed and nothing is in flight; unknown is not idle."""
        await self._record()
        count = await self._count()
        return self._closed and count is not None and count.idle

    async def _count(self) -> DrainCount | None:
        try:
            return await self._in_thread(self._predicate.count, STORE_TIMEOUT_SECONDS, self._storing)
        except Exception as error:  # boundary: however the read fails, the predicate fails closed
            self._status = QuitStatus(None, [], str(error))
            self._log_once(f"{str(error).rstrip('.')}. The quit keeps waiting until it can.")
            return None

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)
        self._wake.clear()

    async def _attempt(
        self,
        act: Callable[[], None],
        limit_s: float = STORE_TIMEOUT_SECONDS,
        thread: ThreadPoolExecutor | None = None,
        name: str = _DATABASE,
    ) -> bool:
        """Return whether `act`, called `name` in the log, succeeded in time."""
        try:
            await self._in_thread(act, limit_s, thread or self._storing, name)
        except Exception as error:  # boundary: a failed step never keeps the quit from ending
            expected = isinstance(error, ExlabError) or is_exhaustion(error)
            self._log_once(f"while quitting: {error}", None if expected else error)
            return False
        return True

    async def _in_thread(
        self, act: Callable[[], _Result], limit_s: float, thread: ThreadPoolExecutor, name: str = _DATABASE
    ) -> _Result:
        """Run `act` in a thread that can be abandoned, and return its result."""
        result = asyncio.get_running_loop().run_in_executor(thread, act)
        await asyncio.wait([result], timeout=limit_s)
        if result.done():
            return result.result()
        result.cancel()
        msg = f"{name} took longer than {elapsed(limit_s)} and was abandoned"
        if name == _DATABASE:
            cause = "another process may hold its lock, or its disk hangs"
            msg = f"no answer within {elapsed(limit_s)} from {name}: {cause}"
        raise PredicateUnreadableError(msg)

    def _log_once(self, sentence: str, error: Exception | None = None) -> None:
        """Log it once per quit, however often it happens."""
        if sentence not in self._logged:
            self._logged.add(sentence)
            log.error(sentence, exc_info=error)

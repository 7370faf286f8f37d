"""A quit in virtual time: a loop whose clock jumps to the next timer, and collaborators with the real interfaces."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar, TypeVarTuple

from exlab_wizard.domain.clock import Clock
from exlab_wizard.domain.quit import Blocker, DrainCount, QuitAnswer, QuitOutcome, QuitStatus
from exlab_wizard.errors import ExlabError, PredicateUnreadableError
from exlab_wizard.process.supervisor import Service
from exlab_wizard.tray.quit_coordinator import QuitCoordinator
from exlab_wizard.tray.quit_ports import DrainGate, DrainPredicate, NoWindow, QuitPrompt, WorkerControl

MIDNIGHT: Final = datetime(2026, 1, 1, tzinfo=UTC)
_Result = TypeVar("_Result")
_Parts = TypeVarTuple("_Parts")


class VirtualClock(Clock):
    """Both clocks; they move only when a loop has nothing to do before its next timer."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return MIDNIGHT + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


class _Jumping(selectors.DefaultSelector):
    """Waits in no time, unless a thread is at work whose end is to be heard."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock
        self.threads = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None or self.threads:
            ready = super().select(timeout)
        if not ready and timeout is not None:
            self._clock.seconds = round(self._clock.seconds + max(0.0, timeout), 6)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on a virtual clock; while threads work, its timers run in real time."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._jumping = _Jumping(clock)
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._clock.seconds

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*_Parts], _Result], *args: *_Parts
    ) -> asyncio.Future[_Result]:
        self._jumping.threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._ended)
        return future

    def _ended(self, _future: asyncio.Future[_Result]) -> None:
        self._jumping.threads -= 1


class Faults:
    """Which methods of a collaborator fail, by name."""

    def __init__(self) -> None:
        self.failing: set[str] = set()

    def check(self, name: str) -> None:
        if name in self.failing:
            msg = f"{name} fails"
            raise ExlabError(msg)


@dataclass
class Predicate(DrainPredicate):
    """What is in flight, as the test says."""

    faults: Faults
    jobs: int = 0
    sessions: int = 0
    unreadable: str = ""
    hang: Callable[[], None] = lambda: None

    def count(self) -> DrainCount:
        self.faults.check("predicate.count")
        self.hang()
        if self.unreadable:
            raise PredicateUnreadableError(self.unreadable)
        return DrainCount(self.sessions, self.jobs)

    def blockers(self) -> list[Blocker]:
        self.faults.check("predicate.blockers")
        if self.unreadable:
            raise PredicateUnreadableError(self.unreadable)
        return [Blocker("job", str(number), f"/runs/{number}", "", 1, 50.0, 2.0) for number in range(self.jobs)]


@dataclass
class Gate(DrainGate):
    """The record of the quit and everything that happened, in order."""

    faults: Faults
    story: list[str]
    closed: bool = False
    window_s: float | None = None
    found: DrainCount | None = None
    prompts: int = 0
    waits: int = 0
    outcome: QuitOutcome | None = None

    def close(self) -> None:
        self.faults.check("gate.close")
        self.closed = True
        self.story.append("gate closed")

    def open(self) -> None:
        self.faults.check("gate.open")
        self.closed = False
        self.story.append("gate opened")

    def begun(self, window_s: float, count: DrainCount | None) -> None:
        self.faults.check("gate.begun")
        self.window_s, self.found = window_s, count

    def asked(self) -> None:
        self.faults.check("gate.asked")
        self.prompts += 1

    def waited(self) -> None:
        self.faults.check("gate.waited")
        self.waits += 1

    def decided(self, outcome: QuitOutcome) -> None:
        self.faults.check("gate.decided")
        self.outcome = outcome
        self.story.append(f"decided {outcome}")


@dataclass
class Workers(WorkerControl):
    """Workers whose transfers end when they are forced."""

    faults: Faults
    story: list[str]
    hang: Callable[[], None] = lambda: None

    def wake(self) -> None:
        self.faults.check("workers.wake")
        self.story.append("workers woken")

    def force(self, reason: str, grace_s: float) -> int:
        assert reason
        assert 0 < grace_s <= 1
        self.story.append("workers forced")
        self.hang()
        self.faults.check("workers.force")
        return 0

    def stop(self) -> None:
        self.story.append("workers stopped")
        self.faults.check("workers.stop")


@dataclass
class Asker(QuitPrompt):
    """A surface with answers in store; without one left the question stands until it is withdrawn."""

    faults: Faults
    clock: VirtualClock
    answers: list[QuitAnswer] = field(default_factory=list)
    there: bool = True
    asked_at: list[float] = field(default_factory=list)
    standing: list[QuitStatus] = field(default_factory=list)
    withdrawn: int = 0
    error: Exception | None = None
    on_ask: Callable[[], None] = lambda: None

    def available(self) -> bool:
        self.faults.check("question.available")
        return self.there

    async def ask(self, standing: Callable[[], QuitStatus]) -> QuitAnswer:
        self.faults.check("question.ask")
        self.asked_at.append(round(self.clock.seconds, 3))
        self.standing.append(standing())
        self.on_ask()
        if self.error is not None:
            raise self.error
        if self.answers:
            return self.answers.pop(0)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.withdrawn += 1
            raise
        return "wait"


@dataclass
class Window(NoWindow):
    """A window that notes when it is closed."""

    faults: Faults
    story: list[str]

    def open(self, page: str = "/") -> None:
        self.story.append(f"window opened on {page}")

    def close(self) -> None:
        self.story.append("window closed")
        self.faults.check("window.close")


@dataclass
class Server(Service):
    """A server that notes when it is stopped."""

    faults: Faults
    story: list[str]

    def start(self) -> None:
        self.story.append("server started")

    def stop(self) -> None:
        self.story.append("server stopped")
        self.faults.check("server.stop")


class VirtualQuit:
    """A coordinator among collaborators, and the story that they tell."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.faults = Faults()
        self.story: list[str] = []
        self.predicate = Predicate(self.faults)
        self.gate = Gate(self.faults, self.story)
        self.workers = Workers(self.faults, self.story)
        self.question = Asker(self.faults, self.clock)
        self.coordinator = self.coordinate(self.gate, self.question)

    def coordinate(self, gate: DrainGate, question: QuitPrompt) -> QuitCoordinator:
        return QuitCoordinator(
            gate=gate,
            predicate=self.predicate,
            workers=self.workers,
            question=question,
            window=Window(self.faults, self.story),
            server=Server(self.faults, self.story),
            clock=self.clock,
        )

    def at(self, seconds: float, act: Callable[[], None]) -> None:
        """Let something happen so many seconds from now; to be called inside the loop."""
        asyncio.get_running_loop().call_later(seconds, act)

    def end_jobs(self, *, silently: bool = False) -> None:
        self.predicate.jobs = 0
        if not silently:
            self.coordinator.changed()

    def run(self, quitting: Coroutine[None, None, _Result]) -> _Result:
        """Run a coroutine in virtual time."""
        with asyncio.Runner(loop_factory=lambda: VirtualLoop(self.clock)) as runner:
            return runner.run(quitting)

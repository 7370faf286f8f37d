"""The surfaces of the quit question: the terminal of a foreground program, that of `exlab-wizard quit`, the HTTP API.

All that can show it do so at once; the first answer counts and the others withdraw.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TextIO

from exlab_wizard.domain.clock import Clock, to_text
from exlab_wizard.domain.quit import QuitAnswer, QuitStatus
from exlab_wizard.domain.wording import question
from exlab_wizard.errors import ExlabError, StoreError
from exlab_wizard.process.presence import Presence
from exlab_wizard.store.queue.quits import PendingQuit
from exlab_wizard.tray.quit_ports import Question

if sys.platform == "win32":
    import msvcrt

log = logging.getLogger(__name__)

CHOICES: Final = "[f]orce quit, [w]ait, [k]eep running: "
_WORDS: Final[dict[str, QuitAnswer]] = {"force quit": "force", "wait": "wait", "keep running": "keep_running"}
_POLL_INTERVAL_SECONDS: Final = 0.1
_SURFACES_SECONDS: Final = 0.5


def parse_answer(line: str) -> QuitAnswer | None:
    """Return the answer that a typed line is, or begins; None for anything else, since only a clear word counts."""
    typed = line.strip().lower().replace("_", " ")
    return next((answer for word, answer in _WORDS.items() if typed and word.startswith(typed)), None)


class TerminalQuestion:
    """Asks where the program was started, when that is a terminal and we are in its foreground."""

    def __init__(self, source: TextIO | None = None, sink: TextIO | None = None) -> None:
        """Read from `source` and write to `sink`: standard input and standard error unless given."""
        self._source = source or sys.stdin
        self._sink = sink or sys.stderr

    def available(self) -> bool:
        """Return whether somebody sits at the terminal."""
        try:
            if not (self._source.isatty() and self._sink.isatty()):
                return False
            return sys.platform == "win32" or os.tcgetpgrp(self._source.fileno()) == os.getpgrp()
        except (OSError, ValueError):
            return False

    async def ask(self, standing: Callable[[], QuitStatus]) -> QuitAnswer:
        """Print the question and return the first line that answers it."""
        operations: int | None = -1
        typed = ""
        try:
            while True:
                now = standing()
                waiting = None if now.count is None else now.count.operations
                if waiting != operations:
                    operations = waiting
                    self._print(f"\n{question(now)}\n{CHOICES}")
                # Whoever reads from the background is stopped by the kernel.
                typed += self._typed() if self.available() else ""
                line, newline, rest = typed.partition("\n")
                if newline:
                    typed = rest
                    answer = parse_answer(line)
                    if answer is not None:
                        return answer
                    self._print(CHOICES)
                await asyncio.sleep(_POLL_INTERVAL_SECONDS)
        except asyncio.CancelledError:
            self._print("\nno answer is needed any more\n")
            raise

    def _print(self, text: str) -> None:
        # A terminal that has gone away must not keep the quit from ending.
        with contextlib.suppress(OSError, ValueError):
            self._sink.write(text)
            self._sink.flush()

    def _typed(self) -> str:
        """Return what was typed since the last look, without ever waiting for it."""
        if sys.platform == "win32":
            typed = ""
            while msvcrt.kbhit():
                typed += msvcrt.getwche().replace("\r", "\n")
            return typed
        number = self._source.fileno()
        if not select.select([number], [], [], 0)[0]:
            return ""
        return os.read(number, 1024).decode(errors="replace")


class PendingQuits(Protocol):
    """Where the undecided quits of this launch stand."""

    def undecided(self, launch_id: int) -> list[PendingQuit]:
        """Return them, the oldest first."""


class RemoteQuestion:
    """Asks through the process that asked for the quit, which shows it on its own terminal."""

    def __init__(self, quits: PendingQuits, launch_id: int, clock: Clock) -> None:
        """Look at the undecided quits of `launch_id`."""
        self._quits = quits
        self._launch_id = launch_id
        self._clock = clock

    def available(self) -> bool:
        """Return whether a process that asked says that it is there and can ask; unreadable means no."""
        now = to_text(self._clock.now())
        return any(asked.asker_until is not None and asked.asker_until > now for asked in self._undecided())

    async def ask(self, standing: Callable[[], QuitStatus]) -> QuitAnswer:  # noqa: ARG002 - the other process reads it itself
        """Return the first answer that appears in the database."""
        # A thread of its own, which can be left behind: a database that hangs must not stop the loop.
        with_database = ThreadPoolExecutor(1, "quit-answer")
        try:
            while True:
                for asked in await asyncio.get_running_loop().run_in_executor(with_database, self._undecided):
                    answer = parse_answer(asked.answer or "")
                    if answer is not None:
                        return answer
                await asyncio.sleep(_POLL_INTERVAL_SECONDS)
        finally:
            with_database.shutdown(wait=False)

    def _undecided(self) -> list[PendingQuit]:
        try:
            return self._quits.undecided(self._launch_id)
        except StoreError:
            return []


class ApiQuestion:
    """Asks the clients of the HTTP API: they see the question, and their answers go straight to the coordinator."""

    def __init__(self, presence: Presence) -> None:
        """Ask those of `presence`."""
        self._presence = presence

    def available(self) -> bool:
        """Return whether a client listens, or looked a moment ago."""
        return self._presence.can_answer

    async def ask(self, standing: Callable[[], QuitStatus]) -> QuitAnswer:  # noqa: ARG002 - the clients ask for it themselves
        """Let the question stand until it is withdrawn."""
        await asyncio.Event().wait()
        raise AssertionError("nobody sets this event")


class FirstAnswer:
    """Several surfaces as one."""

    def __init__(self, surfaces: Sequence[Question]) -> None:
        """Ask on all of `surfaces` that are available."""
        self._surfaces = surfaces

    def available(self) -> bool:
        """Return whether any surface is."""
        return any(surface.available() for surface in self._surfaces)

    async def ask(self, standing: Callable[[], QuitStatus]) -> QuitAnswer:
        """Return the first answer, and withdraw the question elsewhere.

        A surface that can show it only later shows it then: a window may be opened, or closed, while it stands. One
        that fails leaves it to the others.

        Raises:
            ExlabError: it could be shown nowhere.
        """
        # A thread that can be left: a surface that cannot say whether it is there must not keep others from answering.
        thread = ThreadPoolExecutor(1, "quit-surfaces")
        asked: dict[asyncio.Future[QuitAnswer], Question] = {}
        look: asyncio.Future[list[Question]] = asyncio.ensure_future(self._look(thread, [], 0.0))
        try:
            while True:
                running = [task for task in asked if not task.done()]
                waiting: list[asyncio.Future[QuitAnswer] | asyncio.Future[list[Question]]] = [*running, look]
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in running:
                    if task in done:
                        error = task.exception()
                        if error is None:
                            return task.result()
                        log.warning("the question cannot be shown here: %s", error)
                if look in done:
                    asked |= {asyncio.ensure_future(surface.ask(standing)): surface for surface in look.result()}
                    look = asyncio.ensure_future(self._look(thread, list(asked.values()), _SURFACES_SECONDS))
                    if all(task.done() for task in asked):
                        msg = "no surface could show it"
                        raise ExlabError(msg)
        finally:
            thread.shutdown(wait=False)
            look.cancel()
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, look, return_exceptions=True)

    async def _look(self, thread: ThreadPoolExecutor, asked: Sequence[Question], after_s: float) -> list[Question]:
        await asyncio.sleep(after_s)
        return await asyncio.get_running_loop().run_in_executor(thread, self._there, [id(surface) for surface in asked])

    def _there(self, asked: Sequence[int]) -> list[Question]:
        """Return the surfaces that are there and were not asked yet."""
        return [surface for surface in self._surfaces if id(surface) not in asked and surface.available()]

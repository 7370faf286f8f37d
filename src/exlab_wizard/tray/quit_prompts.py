"""How a quit asks the operator: at its own terminal, at that of `exlab-wizard quit`, or through the HTTP API.

All prompts that are available ask at once; the first answer counts and the others withdraw the question.
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
from typing import Final, TextIO

from exlab_wizard.domain.clock import Clock, to_text
from exlab_wizard.domain.quit import QuitAnswer, QuitStatus
from exlab_wizard.domain.text.quit import question_in_full
from exlab_wizard.errors import ExlabError, StoreError
from exlab_wizard.store.queue.quits import PendingQuit
from exlab_wizard.tray.quit_ports import QuitPrompt

if sys.platform == "win32":
    import msvcrt

log = logging.getLogger(__name__)

CHOICES: Final = "[f]orce quit, [w]ait, [k]eep running: "
_WORDS: Final[dict[str, QuitAnswer]] = {"force quit": "force", "wait": "wait", "keep running": "keep_running"}
_POLL_INTERVAL_SECONDS: Final = 0.1
_SEARCH_SECONDS: Final = 0.5
"""How often a standing question checks for further prompts."""


def parse_answer(line: str) -> QuitAnswer | None:
    """Return the answer whose name the typed line begins; None for anything else, since only a clear word counts."""
    typed = line.strip().lower().replace("_", " ")
    return next((answer for word, answer in _WORDS.items() if typed and word.startswith(typed)), None)


class TerminalPrompt:
    """Asks at the terminal where the program was started, if the program is in its foreground.

    It reads from `source` and writes to `sink`: standard input and standard error unless given.
    """

    def __init__(self, source: TextIO | None = None, sink: TextIO | None = None) -> None:
        self._source = source or sys.stdin
        self._sink = sink or sys.stderr

    def available(self) -> bool:
        """Return whether there is a terminal, with this program in its foreground."""
        try:
            if not (self._source.isatty() and self._sink.isatty()):
                return False
            return sys.platform == "win32" or os.tcgetpgrp(self._source.fileno()) == os.getpgrp()
        except (OSError, ValueError):
            return False

    async def ask(self, status: Callable[[], QuitStatus]) -> QuitAnswer:
        """Print the question and return the first line that answers it."""
        operations: int | None = -1
        typed = ""
        try:
            while True:
                now = status()
                left = None if now.count is None else now.count.operations
                if left != operations:
                    operations = left
                    self._print(f"\n{question_in_full(now)}\n{CHOICES}")
                # The kernel stops a program that reads from the background.
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
            self._print("\nAn answer is no longer needed.\n")
            raise

    def _print(self, text: str) -> None:
        # A terminal that is gone must not keep the quit from ending.
        with contextlib.suppress(OSError, ValueError):
            self._sink.write(text)
            self._sink.flush()

    def _typed(self) -> str:
        """Return the keys typed since the last call, without waiting for any."""
        if sys.platform == "win32":
            typed = ""
            while msvcrt.kbhit():
                typed += msvcrt.getwche().replace("\r", "\n")
            return typed
        number = self._source.fileno()
        if not select.select([number], [], [], 0)[0]:
            return ""
        return os.read(number, 1024).decode(errors="replace")


class RemotePrompt:
    """Asks through the process that requested the quit, which shows the question at its own terminal.

    `undecided` reads the undecided quits of this launch, and may raise StoreError.
    """

    def __init__(self, undecided: Callable[[], list[PendingQuit]], clock: Clock) -> None:
        self._read = undecided
        self._clock = clock

    def available(self) -> bool:
        """Return whether a requesting process has said lately that it can ask; unreadable means no."""
        now = to_text(self._clock.now())
        return any(asked.asker_until is not None and asked.asker_until > now for asked in self._undecided())

    async def ask(self, status: Callable[[], QuitStatus]) -> QuitAnswer:  # noqa: ARG002 - the other process reads it
        """Return the first answer that appears in the database."""
        # A thread of its own, which can be abandoned: a database that hangs must not stop the loop.
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
            return self._read()
        except StoreError:
            return []


class ApiPrompt:
    """Asks the clients of the HTTP API: they see the question, and their answers go straight to the coordinator.

    `present` says that a client listens, or polled a moment ago.
    """

    def __init__(self, present: Callable[[], bool]) -> None:
        self.available = present

    async def ask(self, status: Callable[[], QuitStatus]) -> QuitAnswer:  # noqa: ARG002 - the clients read it
        """Keep the question open until it is withdrawn."""
        await asyncio.Event().wait()
        raise AssertionError("this event is never set")


class FirstAnswer:
    """Several prompts as one: all that are available ask at once, and the first answer counts."""

    def __init__(self, prompts: Sequence[QuitPrompt]) -> None:
        self._prompts = prompts

    def available(self) -> bool:
        """Return whether any of them is."""
        return any(prompt.available() for prompt in self._prompts)

    async def ask(self, status: Callable[[], QuitStatus]) -> QuitAnswer:
        """Return the first answer, and withdraw the question elsewhere.

        A prompt that becomes available later, such as a window that opens meanwhile, asks from then on. One that fails
        leaves the question to the others.

        Raises:
            ExlabError: none of them could show it.
        """
        # A thread that can be abandoned: a prompt that hangs in `available` must not keep the others from answering.
        thread = ThreadPoolExecutor(1, "quit-prompts")
        asking: dict[asyncio.Future[QuitAnswer], QuitPrompt] = {}
        search: asyncio.Future[list[QuitPrompt]] = asyncio.ensure_future(self._search(thread, [], 0.0))
        try:
            while True:
                running = [task for task in asking if not task.done()]
                waiting: list[asyncio.Future[QuitAnswer] | asyncio.Future[list[QuitPrompt]]] = [*running, search]
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in running:
                    if task in done:
                        error = task.exception()
                        if error is None:
                            return task.result()
                        log.warning("the quit question cannot be shown here: %s", error)
                if search in done:
                    asking |= {asyncio.ensure_future(prompt.ask(status)): prompt for prompt in search.result()}
                    search = asyncio.ensure_future(self._search(thread, list(asking.values()), _SEARCH_SECONDS))
                    if all(task.done() for task in asking):
                        raise ExlabError("the quit question cannot be shown anywhere")
        finally:
            thread.shutdown(wait=False)
            search.cancel()
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, search, return_exceptions=True)

    async def _search(
        self, thread: ThreadPoolExecutor, asking: Sequence[QuitPrompt], after_s: float
    ) -> list[QuitPrompt]:
        """Return, after a pause, the prompts that have become available."""
        known = {id(prompt) for prompt in asking}
        others = [prompt for prompt in self._prompts if id(prompt) not in known]
        await asyncio.sleep(after_s)
        return await asyncio.get_running_loop().run_in_executor(
            thread, lambda: [prompt for prompt in others if prompt.available()]
        )

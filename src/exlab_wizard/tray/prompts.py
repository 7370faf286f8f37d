"""The surfaces of the quit question: the terminal of a foreground program, and the terminal of `exlab-wizard quit`.

All that can show it do so at once; the first answer counts and the others withdraw.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TextIO

from exlab_wizard.domain.clock import Clock, to_text
from exlab_wizard.errors import StoreError
from exlab_wizard.store.quits import PendingQuit
from exlab_wizard.tray.protocols import Answer, Question, Standing
from exlab_wizard.tray.wording import question

CHOICES: Final = "[f]orce quit, [w]ait, [k]eep running: "
_WORDS: Final[dict[str, Answer]] = {"f": "force", "w": "wait", "k": "keep_running"}
_LOOK_SECONDS: Final = 0.1


def parse_answer(line: str) -> Answer | None:
    """Return the answer that a typed line begins, or None."""
    return _WORDS.get(line.strip().lower()[:1])


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

    async def ask(self, standing: Callable[[], Standing]) -> Answer:
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
                typed += self._typed()
                line, newline, rest = typed.partition("\n")
                if newline:
                    typed = rest
                    answer = parse_answer(line)
                    if answer is not None:
                        return answer
                    self._print(CHOICES)
                await asyncio.sleep(_LOOK_SECONDS)
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
            import msvcrt

            typed = ""
            while msvcrt.kbhit():
                typed += msvcrt.getwche().replace("\r", "\n")
            return typed
        import select

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
        return any(quit.asker_until is not None and quit.asker_until > now for quit in self._undecided())

    async def ask(self, standing: Callable[[], Standing]) -> Answer:  # noqa: ARG002 - the other process reads it itself
        """Return the first answer that appears in the database."""
        while True:
            for quit in self._undecided():
                answer = parse_answer(quit.answer or "")
                if answer is not None:
                    return answer
            await asyncio.sleep(_LOOK_SECONDS)

    def _undecided(self) -> list[PendingQuit]:
        try:
            return self._quits.undecided(self._launch_id)
        except StoreError:
            return []


class FirstAnswer:
    """Several surfaces as one."""

    def __init__(self, surfaces: Sequence[Question]) -> None:
        """Ask on all of `surfaces` that are available."""
        self._surfaces = surfaces

    def available(self) -> bool:
        """Return whether any surface is."""
        return any(surface.available() for surface in self._surfaces)

    async def ask(self, standing: Callable[[], Standing]) -> Answer:
        """Return the first answer, and withdraw the question elsewhere."""
        tasks = [
            asyncio.ensure_future(surface.ask(standing)) for surface in self._surfaces if surface.available()
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(iter(done)).result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

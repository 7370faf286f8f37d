"""The quit question as a notification with buttons.

It stands until it is answered: one that was put away, or that the daemon let expire, comes back when what it says has
changed, or after another window. It is not shown while the window has the operator's eyes, where the same question
stands.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, Protocol

from exlab_wizard.desktop.notifications.messages import QUESTION, Gist, Notice, asked, gist
from exlab_wizard.desktop.notifications.port import Heard, Kind
from exlab_wizard.domain.clock import Clock
from exlab_wizard.domain.quit import QuitAnswer, QuitStatus
from exlab_wizard.domain.text.quit import CHOICES
from exlab_wizard.errors import ExlabError

POLL_INTERVAL_SECONDS: Final = 0.2
UPDATE_SECONDS: Final = 5.0
"""How often the standing question may be shown anew because work moved on; that some of it ended is shown at once."""
_ANSWERS: Final[dict[str, QuitAnswer]] = {name: name for name, _ in CHOICES}


class Board(Protocol):
    """Where notifications are shown, as the question needs it."""

    @property
    def reachable(self) -> bool:
        """Whether somebody would see one."""

    def ask(self, notice: Notice, tell: Callable[[Heard], None]) -> Future[None]:
        """Show it now, in the place of the one with its key, or fail; `tell` hears of it in another thread."""

    def withdraw(self, key: str) -> None:
        """Take it away."""


class NotificationPrompt:
    """A surface of the question; buttons where the daemon has them, elsewhere the click opens the window with it."""

    def __init__(self, board: Board, quiet: Callable[[], bool], clock: Clock, again_s: float) -> None:
        """Ask on `board` unless it is to be `quiet`; a question put away comes back after `again_s` seconds."""
        self._board = board
        self._quiet = quiet
        self._clock = clock
        self._again_s = max(again_s, UPDATE_SECONDS)

    def available(self) -> bool:
        """Return whether a daemon is there to show it, and the window is not what the operator looks at."""
        return self._board.reachable and not self._quiet()

    async def ask(self, standing: Callable[[], QuitStatus]) -> QuitAnswer:
        """Show the question, keep it up to date, and return the answer.

        Raises:
            ExlabError: it cannot be shown any more.
        """
        loop, heard = asyncio.get_running_loop(), asyncio.Queue[Heard]()

        def tell(happened: Heard) -> None:
            with contextlib.suppress(RuntimeError):  # the quit is over, and its loop closed
                loop.call_soon_threadsafe(heard.put_nowait, happened)

        shown = _Shown()
        try:
            while True:
                await self._bring_up_to_date(shown, standing(), tell)
                with contextlib.suppress(TimeoutError):
                    happened = await asyncio.wait_for(heard.get(), POLL_INTERVAL_SECONDS)
                    answer = _ANSWERS.get(happened.button)
                    if happened.kind is Kind.PRESSED and answer is not None:
                        return answer
                    # Whatever else happened to it, most daemons have taken it away.
                    shown.there, shown.again_at = False, self._clock.monotonic() + self._again_s
        finally:
            self._board.withdraw(QUESTION)

    async def _bring_up_to_date(self, shown: _Shown, standing: QuitStatus, tell: Callable[[Heard], None]) -> None:
        if not self._board.reachable:
            msg = "the notification with the question has gone with its daemon"
            raise ExlabError(msg)
        now, says = self._clock.monotonic(), gist(standing)
        if self._quiet():
            if shown.says is not None:
                self._board.withdraw(QUESTION)
                shown.there, shown.says = False, None
        elif shown.is_due(says, now):
            await asyncio.wrap_future(self._board.ask(asked(standing), tell))
            shown.there, shown.says, shown.at = True, says, now


@dataclass(slots=True)
class _Shown:
    """What was shown last; `says` is None when it was never shown, or taken away by us."""

    there: bool = False
    says: Gist | None = None
    at: float = 0.0
    again_at: float = 0.0

    def is_due(self, says: Gist, now: float) -> bool:
        if self.says is None or says[0] != self.says[0]:
            return True
        if not self.there:
            return now >= self.again_at
        return says[1] != self.says[1] and now - self.at >= UPDATE_SECONDS

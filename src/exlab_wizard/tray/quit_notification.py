"""The quit question as a notification with buttons.

It stays until it is answered: one that was dismissed, or that the daemon let expire, is shown again when its content
has changed, or after another window. It is not shown while the operator works in the window, which shows the same
question.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from exlab_wizard.desktop.notifications.messages import QUESTION, Gist, asked, gist
from exlab_wizard.desktop.notifications.notifier import Notifications
from exlab_wizard.desktop.notifications.port import Reaction, ReactionKind
from exlab_wizard.domain.clock import Clock
from exlab_wizard.domain.quit import QuitAnswer, QuitStatus
from exlab_wizard.domain.text.quit import CHOICES
from exlab_wizard.errors import ExlabError

POLL_INTERVAL_SECONDS: Final = 0.2
UPDATE_INTERVAL_SECONDS: Final = 5.0
"""How often the question may be shown again because work moved on; that an operation ended is shown at once."""
_ANSWERS: Final[dict[str, QuitAnswer]] = {name: name for name, _ in CHOICES}


class NotificationPrompt:
    """A quit prompt; where the daemon has no buttons, a click opens the window with the question.

    It is not shown while `quiet`, and repeated `repeat_after_s` seconds after it was dismissed.
    """

    def __init__(
        self, notifications: Notifications, quiet: Callable[[], bool], clock: Clock, repeat_after_s: float
    ) -> None:
        self._notifications = notifications
        self._quiet = quiet
        self._clock = clock
        self._repeat_after_s = max(repeat_after_s, UPDATE_INTERVAL_SECONDS)

    def available(self) -> bool:
        """Return whether a daemon can show it, and the operator does not work in the window."""
        return self._notifications.reachable and not self._quiet()

    async def ask(self, status: Callable[[], QuitStatus]) -> QuitAnswer:
        """Show the question, keep it up to date, and return the answer.

        Raises:
            ExlabError: it can no longer be shown.
        """
        loop, reactions = asyncio.get_running_loop(), asyncio.Queue[Reaction]()

        def react(reaction: Reaction) -> None:
            with contextlib.suppress(RuntimeError):  # the quit is over, and its loop closed
                loop.call_soon_threadsafe(reactions.put_nowait, reaction)

        state = _PromptState()
        try:
            while True:
                await self._update(state, status(), react)
                with contextlib.suppress(TimeoutError):
                    reaction = await asyncio.wait_for(reactions.get(), POLL_INTERVAL_SECONDS)
                    answer = _ANSWERS.get(reaction.button)
                    if reaction.kind is ReactionKind.PRESSED and answer is not None:
                        return answer
                    # Whatever else happened to it, most daemons have removed it.
                    state.visible, state.repeat_at = False, self._clock.monotonic() + self._repeat_after_s
        finally:
            self._notifications.withdraw(QUESTION)

    async def _update(self, state: _PromptState, status: QuitStatus, react: Callable[[Reaction], None]) -> None:
        if not self._notifications.reachable:
            msg = "the notification daemon has ended, and the question with it"
            raise ExlabError(msg)
        now, content = self._clock.monotonic(), gist(status)
        if self._quiet():
            if state.content is not None:
                self._notifications.withdraw(QUESTION)
                state.visible, state.content = False, None
        elif state.is_due(content, now):
            await asyncio.wrap_future(self._notifications.prompt(asked(status), react))
            state.visible, state.content, state.shown_at = True, content, now


@dataclass(slots=True)
class _PromptState:
    """What was shown last; `content` is None if it was never shown, or withdrawn by us."""

    visible: bool = False
    content: Gist | None = None
    shown_at: float = 0.0
    repeat_at: float = 0.0

    def is_due(self, content: Gist, now: float) -> bool:
        if self.content is None or content[0] != self.content[0]:
            return True
        if not self.visible:
            return now >= self.repeat_at
        return content[1] != self.content[1] and now - self.shown_at >= UPDATE_INTERVAL_SECONDS

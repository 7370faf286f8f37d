"""The quit question as a notification with buttons.

It stays until it is answered: one that was dismissed, or that the daemon let expire, is shown again when its content
has changed, or after another window. It is not shown while the operator works in the window, which shows the same
question.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from exlab_wizard.desktop.notifications.messages import QUESTION, Gist, asked, gist
from exlab_wizard.desktop.notifications.notifier import Notifications
from exlab_wizard.desktop.notifications.port import Reaction, ReactionKind
from exlab_wizard.domain.clock import Clock
from exlab_wizard.domain.quit import QuitAnswer, QuitStatus
from exlab_wizard.domain.text.quit import CHOICES
from exlab_wizard.errors import ExlabError
from exlab_wizard.process.threads import call_in_loop

POLL_INTERVAL_SECONDS: Final = 0.2
UPDATE_INTERVAL_SECONDS: Final = 5.0
"""How often the question may be shown again because work moved on; that an operation ended is shown at once."""
_GONE: Final = ("dismissed or expired",)
"""In place of the progress that was shown: it differs from all others."""
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
        self._shown: Gist | None = None
        """What was shown last; None if it was never shown, or withdrawn by us."""
        self._repeat_at = 0.0
        """When it may be shown again because work moved on, or because it is gone."""

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
            call_in_loop(loop, lambda: reactions.put_nowait(reaction))

        self._shown = None
        try:
            while True:
                await self._update(status(), react)
                with contextlib.suppress(TimeoutError):
                    reaction = await asyncio.wait_for(reactions.get(), POLL_INTERVAL_SECONDS)
                    answer = _ANSWERS.get(reaction.button)
                    if reaction.kind is ReactionKind.PRESSED and answer is not None:
                        return answer
                    # Whatever else happened to it, most daemons have removed it.
                    if self._shown is not None:
                        self._shown = self._shown[0], _GONE
                    self._repeat_at = self._clock.monotonic() + self._repeat_after_s
        finally:
            self._notifications.withdraw(QUESTION)

    async def _update(self, status: QuitStatus, react: Callable[[Reaction], None]) -> None:
        if not self._notifications.reachable:
            raise ExlabError("the notification daemon has exited, so the question is no longer displayed")
        now, (operations, progress), shown = self._clock.monotonic(), gist(status), self._shown
        if self._quiet():
            if shown is not None:
                self._notifications.withdraw(QUESTION)
                self._shown = None
        elif shown is None or operations != shown[0] or (progress != shown[1] and now >= self._repeat_at):
            await asyncio.wrap_future(self._notifications.prompt(asked(status), react))
            self._shown, self._repeat_at = (operations, progress), now + UPDATE_INTERVAL_SECONDS

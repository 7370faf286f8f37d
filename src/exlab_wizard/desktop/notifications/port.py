"""The contract with each system: what shows a notification, and what happens to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from exlab_wizard.desktop.notifications.messages import Notice
from exlab_wizard.errors import ExlabError


class NotificationError(ExlabError):
    """A notification cannot be shown; nothing else depends on it."""


class ReactionKind(StrEnum):
    """What happened to a notification."""

    PRESSED = "pressed"
    CLICKED = "clicked"
    DISMISSED = "dismissed"
    """The operator dismissed it."""
    EXPIRED = "expired"
    """It is gone, and the operator may not have seen it."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """What happened to a notification; `button` is the name of the pressed one."""

    kind: ReactionKind
    button: str = ""


class Listener(Protocol):
    """What a daemon notifies, in the thread of the event loop."""

    def reacted(self, number: int, reaction: Reaction) -> None:
        """Something happened to the notification `number`."""

    def appeared(self) -> None:
        """A daemon has started, after `open` had returned."""

    def vanished(self, why: str) -> None:
        """The daemon has gone."""


class Daemon(Protocol):
    """What shows notifications on this desktop."""

    @property
    def has_buttons(self) -> bool:
        """Whether it shows buttons. Valid once it is reachable."""

    async def open(self) -> None:
        """Find it, and read its capabilities; also again, after it had gone.

        Raises:
            NotificationError: there is none now; if one starts later, the listener is notified.
        """

    async def show(self, notice: Notice, replaces: int | None) -> int:
        """Show `notice`, replacing another one if that is still there, and return its number.

        Raises:
            NotificationError: it was not shown.
        """

    async def withdraw(self, number: int) -> None:
        """Remove it.

        Raises:
            NotificationError: it is unknown whether it is gone.
        """

    async def close(self) -> None:
        """Close the connection to the daemon."""

"""The contract with each system: what shows a notification, and what happens to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from exlab_wizard.desktop.notifications.messages import Notice
from exlab_wizard.errors import ExlabError


class NotificationError(ExlabError):
    """A notification cannot be shown; nothing else depends on it."""


class Kind(StrEnum):
    """What happened to a notification."""

    PRESSED = "pressed"
    CLICKED = "clicked"
    DISMISSED = "dismissed"
    """The operator put it away."""
    EXPIRED = "expired"
    """It is gone, and nobody may have seen it."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What happened to a notification; `button` is the name of the pressed one."""

    kind: Kind
    button: str = ""


class Listener(Protocol):
    """Who is told by a daemon, in the thread of the event loop."""

    def heard(self, number: int, heard: Heard) -> None:
        """Something happened to the notification `number`."""

    def came(self) -> None:
        """A daemon has come, after `open` had returned."""

    def went(self, why: str) -> None:
        """The daemon has gone."""


class Daemon(Protocol):
    """What shows notifications on this desktop."""

    @property
    def has_buttons(self) -> bool:
        """Whether it shows buttons. Valid once it is reachable."""

    async def open(self) -> None:
        """Find it, and ask it what it can do; also again, after it had gone.

        Raises:
            NotificationError: there is none now; if one comes later, the listener is told.
        """

    async def show(self, notice: Notice, replaces: int | None) -> int:
        """Show `notice`, in the place of another one if that is still there, and return its number.

        Raises:
            NotificationError: it was not shown.
        """

    async def withdraw(self, number: int) -> None:
        """Take it away.

        Raises:
            NotificationError: it cannot be known whether it is gone.
        """

    async def close(self) -> None:
        """Let go of the daemon."""

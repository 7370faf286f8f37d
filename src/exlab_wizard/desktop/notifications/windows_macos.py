"""Notifications of Windows and macOS, by desktop-notifier: nothing else imports it.

It reports neither a notification that could not be shown nor one that expired, and replaces none: so this checks that
one that was sent is there, and removes an old one first. On macOS the system shows something only for a signed program.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from typing import Final

from desktop_notifier import Button, Capability, DesktopNotifier, Notification, Urgency

from exlab_wizard.desktop.notifications.messages import Notice
from exlab_wizard.desktop.notifications.port import Listener, NotificationError, Reaction, ReactionKind

_AS_USUAL: Final = -1


class Center:
    """The notification centre of this system."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._center = DesktopNotifier(app_name="ExLab-Wizard", app_icon=None)
        self._numbers = itertools.count(1)
        self.has_buttons = False

    async def open(self) -> None:
        """Read its capabilities, and ask the operator for permission."""
        abilities = await self._center.get_capabilities()
        if Capability.TITLE not in abilities or not await self._center.request_authorisation():
            msg = f"notifications are unavailable: {sys.platform} does not let this program show any"
            raise NotificationError(msg)
        self.has_buttons = Capability.BUTTONS in abilities

    async def show(self, notice: Notice, replaces: int | None) -> int:
        """Show `notice` and return its number."""
        if replaces is not None:
            await self.withdraw(replaces)
        number = next(self._numbers)

        loop = asyncio.get_running_loop()

        def notify(kind: ReactionKind, button: str = "") -> None:
            # On macOS these come from the main thread.
            loop.call_soon_threadsafe(self._listener.reacted, number, Reaction(kind, button))

        buttons = tuple(
            Button(title, on_pressed=lambda name=name: notify(ReactionKind.PRESSED, name), identifier=name)  # type: ignore[misc]
            for name, title in notice.buttons
        )
        sent = Notification(
            notice.title,
            notice.body,
            urgency=Urgency.Critical if notice.urgent else Urgency.Normal,
            buttons=buttons if self.has_buttons else (),
            on_clicked=lambda: notify(ReactionKind.CLICKED),
            on_dismissed=lambda: notify(ReactionKind.DISMISSED),
            timeout=0 if notice.lasting else _AS_USUAL,
            identifier=str(number),
        )
        await self._center.send_notification(sent)
        if str(number) not in await self._center.get_current_notifications():
            raise NotificationError("the notification was not shown")
        return number

    async def withdraw(self, number: int) -> None:
        """Remove a notification, if it is there."""
        if str(number) in await self._center.get_current_notifications():
            await self._center.clear(str(number))

    async def close(self) -> None:
        """There is nothing to close."""

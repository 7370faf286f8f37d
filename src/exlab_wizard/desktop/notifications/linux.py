"""The notification daemon of a Linux desktop: `org.freedesktop.Notifications` on the session bus, called directly.

A visible notification is replaced without a sound, the daemon's coming and going is noticed, and a body is escaped if
the daemon takes it for markup. Only signals of the daemon itself are believed.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
from typing import TYPE_CHECKING, Final

from dbus_fast import Variant

from exlab_wizard.desktop.notifications.messages import Notice
from exlab_wizard.desktop.notifications.port import Listener, NotificationError, Reaction, ReactionKind
from exlab_wizard.process.session.dbus import NOTIFICATIONS, Bus, BusError, connect, new_owner

if TYPE_CHECKING:
    from dbus_fast import Message

PATH: Final = "/org/freedesktop/Notifications"
_CLOSED: Final = {2: ReactionKind.DISMISSED}
"""The reason that means the operator; after all others the operator may not have seen it."""
_CLICK: Final = "default"
_NORMAL, _CRITICAL = 1, 2
_NEVER, _AS_USUAL = 0, -1


class BusDaemon:
    """The daemon on the session bus; it reconnects when the connection was lost."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._bus: Bus | None = None
        self._owner = ""
        self._takes_markup = False
        self.has_buttons = False
        self._may_start_it = True
        self._until_lost: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect, and read the daemon's capabilities; one that the bus can start is started, once."""
        if self._bus is None or not self._bus.connected:
            try:
                self._bus = await self._connected()
            except BusError as error:
                msg = f"notifications are unavailable: {error}"
                raise NotificationError(msg) from error
            self._until_lost = asyncio.create_task(self._lost(self._bus))
        self._owner = await self._found(self._bus)
        if not self._owner:
            raise NotificationError("notifications are unavailable: this desktop has no notification daemon")
        (capabilities,) = await self._call("GetCapabilities")
        known = capabilities if isinstance(capabilities, list) else []
        self.has_buttons, self._takes_markup = "actions" in known, "body-markup" in known

    async def show(self, notice: Notice, replaces: int | None) -> int:
        """Show `notice` and return its number."""
        # The click is last: some daemons show it as one more button.
        actions = [word for choice in (*notice.buttons, (_CLICK, "Open")) for word in choice]
        hints = {
            "urgency": Variant("y", _CRITICAL if notice.urgent else _NORMAL),
            "desktop-entry": Variant("s", "exlab-wizard"),
        }
        body = html.escape(notice.body, quote=False) if self._takes_markup else notice.body
        (number,) = await self._call(
            "Notify",
            "susssasa{sv}i",
            "ExLab-Wizard",
            replaces or 0,
            "dialog-question" if notice.urgent else "dialog-warning" if notice.lasting else "dialog-information",
            notice.title,
            body,
            actions if self.has_buttons else [],
            hints,
            _NEVER if notice.lasting else _AS_USUAL,
        )
        if not isinstance(number, int):
            raise NotificationError("the notification daemon answered without a number")
        return number

    async def withdraw(self, number: int) -> None:
        """Remove a notification; one that is already gone is no error."""
        with contextlib.suppress(NotificationError):
            await self._call("CloseNotification", "u", number)

    async def close(self) -> None:
        """Leave the bus."""
        if self._until_lost is not None:
            self._until_lost.cancel()
        if self._bus is not None:
            self._bus.close()

    async def _connected(self) -> Bus:
        bus = await connect(self._received)
        try:
            await bus.subscribe_owner(NOTIFICATIONS)
            await bus.subscribe(path=PATH, interface=NOTIFICATIONS)
        except BaseException:  # boundary: also a timeout; without its signals the connection is of no use
            bus.close()
            raise
        return bus

    async def _lost(self, bus: Bus) -> None:
        await bus.wait_closed()
        self._owner = ""
        self._listener.vanished("notifications are unavailable: the session bus has gone")

    async def _found(self, bus: Bus) -> str:
        """Return the unique name of the daemon; empty where there is none."""
        with contextlib.suppress(BusError):
            return str((await bus.call_bus("GetNameOwner", "s", NOTIFICATIONS))[0])
        if self._may_start_it:
            self._may_start_it = False
            with contextlib.suppress(BusError):
                await bus.call_bus("StartServiceByName", "su", NOTIFICATIONS, 0)
                return str((await bus.call_bus("GetNameOwner", "s", NOTIFICATIONS))[0])
        return ""

    async def _call(self, member: str, signature: str = "", *body: object) -> list[object]:
        if self._bus is None:
            raise NotificationError("there is no connection to the session bus")
        try:
            return list((await self._bus.call(NOTIFICATIONS, PATH, NOTIFICATIONS, member, signature, *body)).body)
        except BusError as error:
            msg = f"the notification daemon failed: {error}"
            raise NotificationError(msg) from error

    def _received(self, signal: Message) -> None:
        """Take one signal; what others than the daemon send in its name is not believed."""
        owner = new_owner(signal, NOTIFICATIONS)
        if owner is not None:
            if self._owner and self._owner != owner:
                self._listener.vanished("the notification daemon has gone: nothing is shown until a new one starts")
            self._owner = ""
            if owner:
                self._listener.appeared()
        elif signal.sender != self._owner:
            return
        match signal.member, signal.body:
            case "ActionInvoked", [int(number), str(action)]:
                pressed = Reaction(ReactionKind.CLICKED) if action == _CLICK else Reaction(ReactionKind.PRESSED, action)
                self._listener.reacted(number, pressed)
            case "NotificationClosed", [int(number), int(reason)]:
                self._listener.reacted(number, Reaction(_CLOSED.get(reason, ReactionKind.EXPIRED)))

"""The notification daemon of a Linux desktop: `org.freedesktop.Notifications` on the session bus, spoken to directly.

A standing notification is replaced without a sound, the daemon's coming and going is heard, and a body is escaped
where the daemon takes it for markup. Only what the daemon itself sends is believed.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import logging
import os
from pathlib import Path
from typing import Final

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from exlab_wizard.desktop.notifications.messages import Notice
from exlab_wizard.desktop.notifications.port import Heard, Kind, Listener, NotificationError

log = logging.getLogger(__name__)

NAME: Final = "org.freedesktop.Notifications"
PATH: Final = "/org/freedesktop/Notifications"
_BUS: Final = "org.freedesktop.DBus"
_BUS_PATH: Final = "/org/freedesktop/DBus"
_RULES: Final = (
    f"type='signal',sender='{_BUS}',interface='{_BUS}',member='NameOwnerChanged',arg0='{NAME}'",
    f"type='signal',path='{PATH}',interface='{NAME}'",
)
_CLOSED: Final = {2: Kind.DISMISSED}
"""The reason that means the operator; all others mean that nobody may have seen it."""
_CLICK: Final = "default"
_NORMAL, _CRITICAL = 1, 2
_NEVER, _AS_USUAL = 0, -1


class BusDaemon:
    """One connection to the session bus, made again when it was lost."""

    def __init__(self, listener: Listener) -> None:
        """Tell `listener` what happens."""
        self._listener = listener
        self._bus: MessageBus | None = None
        self._owner = ""
        self._capabilities: frozenset[str] = frozenset()
        self._may_start_it = True
        self._until_lost: asyncio.Task[None] | None = None

    @property
    def has_buttons(self) -> bool:
        """Whether the daemon shows buttons."""
        return "actions" in self._capabilities

    async def open(self) -> None:
        """Connect, and ask the daemon what it can do; one that the bus can start is started, once.

        Raises:
            NotificationError: there is none now.
        """
        if self._bus is None or not self._bus.connected:
            self._bus = await _connected()
            self._bus.add_message_handler(self._take)
            self._until_lost = asyncio.create_task(self._lost(self._bus))
            for rule in _RULES:
                await self._call(_BUS, _BUS_PATH, _BUS, "AddMatch", "s", rule)
        self._owner = await self._found()
        if not self._owner:
            msg = "no notifications are shown: this desktop has no notification daemon"
            raise NotificationError(msg)
        (capabilities,) = await self._call(NAME, PATH, NAME, "GetCapabilities")
        self._capabilities = frozenset(capabilities) if isinstance(capabilities, list) else frozenset()

    async def show(self, notice: Notice, replaces: int | None) -> int:
        """Show `notice` and return its number.

        Raises:
            NotificationError: the daemon refused it.
        """
        # The click last: some daemons show it as one more button.
        actions = [word for choice in (*notice.buttons, (_CLICK, "Open")) for word in choice]
        hints = {
            "urgency": Variant("y", _CRITICAL if notice.urgent else _NORMAL),
            "desktop-entry": Variant("s", "exlab-wizard"),
        }
        body = html.escape(notice.body, quote=False) if "body-markup" in self._capabilities else notice.body
        (number,) = await self._call(
            NAME,
            PATH,
            NAME,
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
            msg = "the notification daemon gave no number"
            raise NotificationError(msg)
        return number

    async def withdraw(self, number: int) -> None:
        """Take a notification away; one that is gone already is no error."""
        with contextlib.suppress(NotificationError):
            await self._call(NAME, PATH, NAME, "CloseNotification", "u", number)

    async def close(self) -> None:
        """Leave the bus."""
        if self._until_lost is not None:
            self._until_lost.cancel()
        if self._bus is not None:
            self._bus.disconnect()

    async def _lost(self, bus: MessageBus) -> None:
        try:
            await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        except Exception as error:  # boundary: however it was lost, it is lost
            log.debug("the session bus: %s", error)
        self._owner = ""
        self._listener.went("the session bus has gone: no notifications are shown")

    async def _found(self) -> str:
        """Return the unique name of the daemon; empty where there is none."""
        with contextlib.suppress(NotificationError):
            return str((await self._call(_BUS, _BUS_PATH, _BUS, "GetNameOwner", "s", NAME))[0])
        if self._may_start_it:
            self._may_start_it = False
            with contextlib.suppress(NotificationError):
                await self._call(_BUS, _BUS_PATH, _BUS, "StartServiceByName", "su", NAME, 0)
                return str((await self._call(_BUS, _BUS_PATH, _BUS, "GetNameOwner", "s", NAME))[0])
        return ""

    async def _call(
        self, name: str, path: str, interface: str, member: str, signature: str = "", *body: object
    ) -> list[object]:
        if self._bus is None:
            msg = "there is no connection to the session bus"
            raise NotificationError(msg)
        message = Message(
            destination=name, path=path, interface=interface, member=member, signature=signature, body=list(body)
        )
        reply = await self._bus.call(message)
        if reply.message_type is MessageType.ERROR:
            msg = f"the notification daemon answered {member} with {reply.error_name} {' '.join(map(str, reply.body))}"
            raise NotificationError(msg)
        return list(reply.body)

    def _take(self, message: Message) -> None:
        """Hear one signal; what others than the daemon send in its name is not believed."""
        if message.message_type is not MessageType.SIGNAL:
            return
        match message.member, message.body:
            case "NameOwnerChanged", [str(name), str(_), str(owner)] if message.sender == _BUS and name == NAME:
                self._owner_is(owner)
            case "ActionInvoked", [int(number), str(action)] if message.sender == self._owner:
                pressed = Heard(Kind.CLICKED) if action == _CLICK else Heard(Kind.PRESSED, action)
                self._listener.heard(number, pressed)
            case "NotificationClosed", [int(number), int(reason)] if message.sender == self._owner:
                self._listener.heard(number, Heard(_CLOSED.get(reason, Kind.EXPIRED)))

    def _owner_is(self, owner: str) -> None:
        if self._owner and self._owner != owner:
            self._listener.went("the notification daemon has gone: nothing is shown until one comes")
        self._owner = ""
        if owner:
            self._listener.came()


async def _connected() -> MessageBus:
    try:
        return await MessageBus(bus_address=_address()).connect()
    except Exception as error:  # boundary: whatever a broken bus answers, it is only notifications
        msg = f"no notifications are shown: there is no session bus ({error})"
        raise NotificationError(msg) from error


def _address() -> str | None:
    """Return the address of the session bus where the environment does not name it but the system has its usual one."""
    usual = Path(os.environ.get("XDG_RUNTIME_DIR", ""), "bus")
    if not os.environ.get("DBUS_SESSION_BUS_ADDRESS") and usual.is_socket():
        return f"unix:path={usual}"
    return None

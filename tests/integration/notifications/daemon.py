"""A notification daemon of our own on a private bus: it takes what desktops take, remembers it, and presses buttons.

It speaks the real protocol over a real bus; only nobody sees it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from tests.support.program import PATIENCE_SECONDS, until

NAME: Final = "org.freedesktop.Notifications"
PATH: Final = "/org/freedesktop/Notifications"
ALL: Final = ("body", "body-markup", "actions", "persistence")
DISMISSED, EXPIRED, WITHDRAWN = 2, 1, 3
_INTERFACE: Final = f"""<node><interface name="{NAME}">
  <method name="GetCapabilities"><arg direction="out" type="as"/></method>
  <method name="GetServerInformation">
    <arg direction="out" type="s"/><arg direction="out" type="s"/>
    <arg direction="out" type="s"/><arg direction="out" type="s"/>
  </method>
  <method name="Notify">
    <arg direction="in" type="s"/><arg direction="in" type="u"/><arg direction="in" type="s"/>
    <arg direction="in" type="s"/><arg direction="in" type="s"/><arg direction="in" type="as"/>
    <arg direction="in" type="a{{sv}}"/><arg direction="in" type="i"/><arg direction="out" type="u"/>
  </method>
  <method name="CloseNotification"><arg direction="in" type="u"/></method>
  <signal name="ActionInvoked"><arg type="u"/><arg type="s"/></signal>
  <signal name="NotificationClosed"><arg type="u"/><arg type="u"/></signal>
</interface></node>"""


@dataclass
class Popup:
    """One notification as it was asked for last; `times` counts how often."""

    number: int
    title: str
    body: str
    actions: list[str]
    urgency: int
    timeout: int
    times: int = 1
    standing: bool = True

    @property
    def buttons(self) -> list[str]:
        return [title for name, title in zip(self.actions[::2], self.actions[1::2], strict=True) if name != "default"]


@dataclass
class FakeDaemon:
    """Owns the name while its block lasts; `deaf` answers no call any more."""

    address: str
    capabilities: Sequence[str] = ALL
    deaf: bool = False
    hasty: str = ""
    """The action that an operator chooses faster than the answer to the call arrives."""
    greeted: bool = False
    """Whether somebody has asked what it can do, and so will show notifications on it."""
    popups: dict[int, Popup] = field(default_factory=dict)

    def __enter__(self) -> FakeDaemon:  # noqa: PYI034 - nobody derives from it
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._own(), self._loop).result(PATIENCE_SECONDS)
        return self

    def __exit__(self, *_raised: object) -> None:
        self.die()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self._loop.close()

    def die(self) -> None:
        """Leave the bus without a word."""
        asyncio.run_coroutine_threadsafe(self._leave(), self._loop).result(PATIENCE_SECONDS)

    def press(self, popup: Popup, action: str) -> None:
        """Press a button, or click where the action is `default`; the popup goes away, as it does on desktops."""
        self._emit("ActionInvoked", "us", popup.number, action)
        self.put_away(popup)

    def put_away(self, popup: Popup, reason: int = DISMISSED) -> None:
        """Close it for the given reason."""
        popup.standing = False
        self._emit("NotificationClosed", "uu", popup.number, reason)

    def standing(self, title: str = "") -> Popup | None:
        """Return the newest popup that stands and has `title` in its title."""
        for popup in reversed(list(self.popups.values())):
            if popup.standing and title in popup.title:
                return popup
        return None

    def shows(self, title: str, timeout: float = PATIENCE_SECONDS) -> Popup:
        """Wait until a popup stands that has `title` in its title, and return it."""
        return until(lambda: self.standing(title), timeout, what=f"a notification with {title!r}: {self.popups}")

    def shows_nothing(self, timeout: float = PATIENCE_SECONDS) -> None:
        """Wait until no popup stands."""
        until(lambda: self.standing() is None, timeout, what=f"all notifications to be gone: {self.popups}")

    async def _own(self) -> None:
        self._bus = await MessageBus(bus_address=self.address).connect()
        self._bus.add_message_handler(self._serve)
        await self._bus.request_name(NAME)

    async def _leave(self) -> None:
        self._bus.disconnect()
        with contextlib.suppress(EOFError, ConnectionError):  # as it was told of a bus that is gone
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # the library's own omission

    def _emit(self, member: str, signature: str, *body: object) -> None:
        signal = Message.new_signal(PATH, NAME, member, signature, list(body))
        self._loop.call_soon_threadsafe(self._bus.send, signal)

    def _serve(self, message: Message) -> Message | bool | None:
        if message.message_type is not MessageType.METHOD_CALL or message.path != PATH:
            return None
        if self.deaf:
            return True
        signature, answer = self._answer(message)
        return Message.new_method_return(message, signature, answer)

    def _answer(self, message: Message) -> tuple[str, list[object]]:
        match message.member:
            case "Introspect":
                return "s", [_INTERFACE]
            case "GetCapabilities":
                self.greeted = True
                return "as", [list(self.capabilities)]
            case "GetServerInformation":
                return "ssss", ["fake", "exlab-wizard", "1", "1.2"]
            case "Notify":
                return "u", [self._take(*message.body)]
            case "CloseNotification":
                (number,) = message.body
                self.popups[number].standing = False
                self._bus.send(Message.new_signal(PATH, NAME, "NotificationClosed", "uu", [number, WITHDRAWN]))
        return "", []

    def _take(  # noqa: PLR0913, PLR0917 - what the protocol consists of
        self,
        _app: str,
        replaces: int,
        _icon: str,
        title: str,
        body: str,
        actions: list[str],
        hints: dict[str, Variant],
        timeout: int,
    ) -> int:
        before = self.popups.get(replaces)
        number = replaces if before is not None and before.standing else len(self.popups) + 1
        times = before.times + 1 if before is not None and number == replaces else 1
        if self.hasty:
            self._bus.send(Message.new_signal(PATH, NAME, "ActionInvoked", "us", [number, self.hasty]))
        self.popups[number] = Popup(number, title, body, actions, hints["urgency"].value, timeout, times)
        return number

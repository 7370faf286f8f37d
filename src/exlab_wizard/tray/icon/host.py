"""Whether this desktop has a place for icons, and when it comes or goes.

On Linux icons that register have a host only while somebody owns a certain name on the session bus, and an icon without
one is silently nowhere. Windows and macOS always have a place.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from exlab_wizard.errors import ExlabError

if TYPE_CHECKING:
    from dbus_fast import Message
    from dbus_fast.aio import MessageBus

WATCHER: Final = "org.kde.StatusNotifierWatcher"
BUS_SECONDS: Final = 2.0
_BUS, _BUS_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"


class NoTrayError(ExlabError):
    """There is no place for an icon, and there will be none."""


class TrayHost(Protocol):
    """A place for icons; everything belongs to one event loop."""

    async def look(self) -> None:
        """Begin to look.

        Raises:
            NoTrayError: there cannot be one here; the message says why.
        """

    async def there(self) -> None:
        """Return as soon as there is one."""

    def close(self) -> None:
        """Look no more; harmless at any time."""


def tray_host() -> TrayHost:
    """Return this system's."""
    return AlwaysThere() if sys.platform in ("win32", "darwin") else SessionBus()


class AlwaysThere:
    """Windows and macOS."""

    async def look(self) -> None:
        """There is nothing to look for."""

    async def there(self) -> None:
        """It is there."""

    def close(self) -> None:
        """There is nothing to close."""


class SessionBus:
    """The owner of the watcher's name on the session bus."""

    def __init__(self) -> None:
        """Look nowhere yet."""
        self._bus: MessageBus | None = None
        self._there = asyncio.Event()

    async def look(self) -> None:
        """Connect to the session bus and ask it to tell of the name.

        Raises:
            NoTrayError: there is no session bus, or it does not answer.
        """
        address = _address(os.environ)
        try:
            async with asyncio.timeout(BUS_SECONDS):
                await self._connect(address)
        except TimeoutError:
            msg = f"the session bus does not answer within {BUS_SECONDS:g} s"
            raise NoTrayError(msg) from None
        except Exception as error:  # boundary: addresses and buses can be wrong in many ways, and each means no tray
            msg = f"the session bus at {address} cannot be used: {error}"
            raise NoTrayError(msg) from error

    async def there(self) -> None:
        """Return as soon as somebody owns the name."""
        await self._there.wait()

    def close(self) -> None:
        """Leave the bus."""
        bus, self._bus = self._bus, None
        if bus is not None:
            with contextlib.suppress(Exception):  # boundary: a bus that went away needs no leaving
                bus.disconnect()

    async def _connect(self, address: str) -> None:
        # Imported here: headless, and elsewhere than on Linux, it is not needed.
        from dbus_fast import Message  # noqa: PLC0415 - see above
        from dbus_fast.aio import MessageBus  # noqa: PLC0415 - see above

        self._bus = bus = await MessageBus(bus_address=address).connect()
        bus.add_message_handler(self._heard)
        rule = f"type='signal',sender='{_BUS}',member='NameOwnerChanged',arg0='{WATCHER}'"
        for member, word in (("AddMatch", rule), ("NameHasOwner", WATCHER)):
            call = Message(destination=_BUS, path=_BUS_PATH, interface=_BUS, member=member, signature="s", body=[word])
            answer = await bus.call(call)
            if answer.body == [True]:
                self._there.set()

    def _heard(self, message: Message) -> None:
        if message.sender == _BUS and message.member == "NameOwnerChanged" and message.body[0] == WATCHER:
            if message.body[2]:
                self._there.set()
            else:
                self._there.clear()


def _address(environ: Mapping[str, str]) -> str:
    """Return where the session bus is, by the same two places where GTK looks.

    Raises:
        NoTrayError: there is none.
    """
    address = environ.get("DBUS_SESSION_BUS_ADDRESS", "")
    if address:
        return address
    folder = environ.get("XDG_RUNTIME_DIR", "")
    if folder and Path(folder, "bus").exists():
        return f"unix:path={folder}/bus"
    raise NoTrayError("there is no session bus (DBUS_SESSION_BUS_ADDRESS is not set)")

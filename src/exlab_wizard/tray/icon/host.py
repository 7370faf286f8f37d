"""Whether this desktop has a place for icons, and when it comes or goes.

On Linux icons have a host only while some program owns a certain name on the session bus; without one an icon is
silently invisible. Windows and macOS always have a place.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Final, Protocol

from exlab_wizard.errors import ExlabError
from exlab_wizard.process.session.dbus import Bus, BusError, connect, new_owner

if TYPE_CHECKING:
    from dbus_fast import Message

WATCHER: Final = "org.kde.StatusNotifierWatcher"
BUS_TIMEOUT_SECONDS: Final = 2.0


class NoTrayError(ExlabError):
    """There is no place for an icon, and there will be none."""


class TrayHost(Protocol):
    """A place for icons; everything belongs to one event loop."""

    async def watch(self) -> None:
        """Begin to watch for it.

        Raises:
            NoTrayError: there cannot be one here; the message says why.
        """

    async def available(self) -> None:
        """Return as soon as there is one."""

    def close(self) -> None:
        """Stop watching; harmless at any time."""


def tray_host() -> TrayHost:
    """Return the host of this system."""
    return AlwaysAvailable() if sys.platform in ("win32", "darwin") else StatusNotifierHost()


class AlwaysAvailable:
    """Windows and macOS."""

    async def watch(self) -> None:
        """There is nothing to watch for."""

    async def available(self) -> None:
        """It is always there."""

    def close(self) -> None:
        """There is nothing to close."""


class StatusNotifierHost:
    """The owner of the watcher's name on the session bus."""

    def __init__(self) -> None:
        """Connect to nothing yet."""
        self._bus: Bus | None = None
        self._available = asyncio.Event()

    async def watch(self) -> None:
        """Connect to the session bus and subscribe to the name.

        Raises:
            NoTrayError: there is no session bus, or it does not answer.
        """
        try:
            self._bus = bus = await connect(self._received, timeout_s=BUS_TIMEOUT_SECONDS)
            await bus.subscribe_owner(WATCHER)
            if await bus.call_bus("NameHasOwner", "s", WATCHER) == [True]:
                self._available.set()
        except BusError as error:
            raise NoTrayError(str(error)) from error

    async def available(self) -> None:
        """Return as soon as some program owns the name."""
        await self._available.wait()

    def close(self) -> None:
        """Leave the bus."""
        if self._bus is not None:
            self._bus.close()

    def _received(self, signal: Message) -> None:
        owner = new_owner(signal, WATCHER)
        if owner is not None:
            (self._available.set if owner else self._available.clear)()

"""Whether this desktop has a tray, and when it comes or goes.

On Linux icons have a host only while some program owns a certain name on the session bus; without one an icon is
silently invisible. Windows and macOS always have a place.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Final

from exlab_wizard.errors import ExlabError
from exlab_wizard.process.session.dbus import TRAY_HOST, Bus, BusError, connect, new_owner

if TYPE_CHECKING:
    from dbus_fast import Message

BUS_TIMEOUT_SECONDS: Final = 2.0


class NoTrayError(ExlabError):
    """There is no place for an icon, and there will be none."""


class TrayHost:
    """A tray: the owner of the watcher's name on the session bus. Everything belongs to one event loop."""

    def __init__(self) -> None:
        self._bus: Bus | None = None
        self._available = asyncio.Event()

    async def watch(self) -> None:
        """Begin to watch for it.

        Raises:
            NoTrayError: there is no session bus, or it does not answer.
        """
        if sys.platform in ("win32", "darwin"):
            self._available.set()
            return
        try:
            self._bus = bus = await connect(self._received, timeout_s=BUS_TIMEOUT_SECONDS)
            await bus.subscribe_owner(TRAY_HOST)
            if await bus.call_bus("NameHasOwner", "s", TRAY_HOST) == [True]:
                self._available.set()
        except BusError as error:
            raise NoTrayError(str(error)) from error

    async def available(self) -> None:
        """Return as soon as there is one."""
        await self._available.wait()

    def close(self) -> None:
        """Stop watching; harmless at any time."""
        if self._bus is not None:
            self._bus.close()

    def _received(self, signal: Message) -> None:
        owner = new_owner(signal, TRAY_HOST)
        if owner is not None:
            (self._available.set if owner else self._available.clear)()

"""The only way to D-Bus: one connection to the session or the system bus, its calls, and the signals on it.

dbus-fast is loaded with the first connection: a program that needs no bus pays nothing for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exlab_wizard.domain.text.amounts import elapsed
from exlab_wizard.errors import ExlabError

if TYPE_CHECKING:
    from dbus_fast import Message
    from dbus_fast.aio import MessageBus

DBUS: Final = "org.freedesktop.DBus"
DBUS_PATH: Final = "/org/freedesktop/DBus"
NOTIFICATIONS: Final = "org.freedesktop.Notifications"
TRAY_HOST: Final = "org.kde.StatusNotifierWatcher"


class BusError(ExlabError):
    """There is no bus, or it does not answer."""


class BusRefusedError(BusError):
    """Who was called answers with an error, and the connection works."""


class Bus:
    """One open connection, on which each call may take `timeout_s`. All of it belongs to one event loop."""

    def __init__(self, connection: MessageBus, timeout_s: float) -> None:
        self._connection = connection
        self._timeout_s = timeout_s

    @property
    def connected(self) -> bool:
        """Whether it is still open."""
        return self._connection.connected

    async def call(
        self, name: str, path: str, interface: str, member: str, signature: str = "", *body: object
    ) -> Message:
        """Return the answer of the object `path` of `name`.

        Raises:
            BusError: it is an error, or there is none.
        """
        from dbus_fast import Message, MessageType  # noqa: PLC0415 - loaded by `connect`
        from dbus_fast.errors import DBusFastError  # noqa: PLC0415 - likewise

        message = Message(name, path, interface, member, signature=signature, body=list(body))
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._connection.call(message)
        except TimeoutError as error:
            msg = f"{member}: no answer within {elapsed(self._timeout_s)}"
            raise BusError(msg) from error
        except (DBusFastError, OSError, EOFError, ValueError) as error:
            msg = f"{member}: {str(error) or 'the connection is lost'}"
            raise BusError(msg) from error
        if answer.message_type is MessageType.ERROR:
            msg = f"{member}: {answer.error_name}: {' '.join(str(part) for part in answer.body)}"
            raise BusRefusedError(msg)
        return answer

    async def call_bus(self, member: str, signature: str = "", *body: object) -> list[object]:
        """Return what the bus itself answers.

        Raises:
            BusError: it is an error, or there is none.
        """
        return list((await self.call(DBUS, DBUS_PATH, DBUS, member, signature, *body)).body)

    async def subscribe(self, **rule: str) -> None:
        """Receive the signals that match `rule`, such as `interface=…, member=…`.

        Raises:
            BusError: the bus refuses.
        """
        words = ["type='signal'", *(f"{key}='{value}'" for key, value in rule.items())]
        await self.call_bus("AddMatch", "s", ",".join(words))

    async def subscribe_owner(self, name: str) -> None:
        """Receive `NameOwnerChanged` when `name` comes or goes; see `new_owner`.

        Raises:
            BusError: the bus refuses.
        """
        await self.subscribe(sender=DBUS, member="NameOwnerChanged", arg0=name)

    async def wait_closed(self) -> None:
        """Return when the connection is lost or closed."""
        with contextlib.suppress(Exception):  # boundary: whatever ended it, it is closed
            await self._connection.wait_for_disconnect()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Disconnect; harmless when the connection is lost."""
        with contextlib.suppress(Exception):  # boundary: a bus that went away needs no goodbye
            self._connection.disconnect()


def new_owner(signal: Message, name: str) -> str | None:
    """Return who owns `name` from now on, if the bus itself announces that with `signal`; empty if it has no owner."""
    if signal.sender != DBUS or signal.member != "NameOwnerChanged" or signal.body[0] != name:
        return None
    return str(signal.body[2])


async def connect(
    received: Callable[[Message], None] = lambda _: None, *, system: bool = False, timeout_s: float = 5.0
) -> Bus:
    """Return a connection to the session bus, or to the `system` bus; `received` is called for each signal on it.

    Raises:
        BusError: there is no such bus, or it does not answer within `timeout_s`.
    """
    what = "the system bus" if system else f"the session bus at {session_address()}"
    try:
        from dbus_fast import BusType, MessageType  # noqa: PLC0415 - loaded with the first connection
        from dbus_fast.aio import MessageBus  # noqa: PLC0415 - likewise

        def hear(message: Message) -> None:
            if message.message_type is MessageType.SIGNAL:
                received(message)

        async with asyncio.timeout(timeout_s):
            kind = BusType.SYSTEM if system else BusType.SESSION
            connection = MessageBus(None if system else session_address(), kind, negotiate_unix_fd=system)
            connection.add_message_handler(hear)
            return Bus(await connection.connect(), timeout_s)
    except TimeoutError as error:
        msg = f"the {'system' if system else 'session'} bus does not answer within {elapsed(timeout_s)}"
        raise BusError(msg) from error
    except Exception as error:  # boundary: addresses and buses can be wrong in many ways, and each means no bus
        msg = f"{what} cannot be used: {str(error) or type(error).__name__}"
        raise BusError(msg) from error


def session_address(environ: Mapping[str, str] = os.environ) -> str:
    """Return where the session bus is, from the same two places as GTK.

    Raises:
        BusError: there is none.
    """
    address = environ.get("DBUS_SESSION_BUS_ADDRESS", "")
    if address:
        return address
    folder = environ.get("XDG_RUNTIME_DIR", "")
    if folder and Path(folder, "bus").exists():
        return f"unix:path={folder}/bus"
    raise BusError("there is no session bus (DBUS_SESSION_BUS_ADDRESS is not set)")

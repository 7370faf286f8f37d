"""A system bus of our own, and python-dbusmock's logind on it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from tests.support.program import PATIENCE_SECONDS, until

NAME: Final = "org.freedesktop.login1"
PATH: Final = "/org/freedesktop/login1"
MANAGER: Final = "org.freedesktop.login1.Manager"
_BUS: Final = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
_CONFIG: Final = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:dir={folder}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


class SystemBus:
    """A bus daemon and, once it is started, a logind."""

    def __init__(self, folder: Path) -> None:
        config = folder / "bus.conf"
        config.write_text(_CONFIG.format(folder=folder), "utf-8")
        self._daemon = subprocess.Popen(
            ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address=1"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._daemon.stdout is not None
        self.address = self._daemon.stdout.readline().strip()
        self._logind: subprocess.Popen[bytes] | None = None

    def start_logind(self) -> None:
        """Return when logind answers."""
        self._logind = subprocess.Popen(
            [sys.executable, "-m", "dbusmock", "--system", "--template", "logind"],
            env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.address},
            stdout=subprocess.DEVNULL,
        )

        def answers() -> bool:
            try:
                self.inhibitors()
            except AssertionError:
                return False
            return True

        until(answers, what="logind to answer")

    def stop_logind(self) -> None:
        """Let logind be gone."""
        if self._logind is not None:
            self._logind.kill()
            self._logind.wait(PATIENCE_SECONDS)
            self._logind = None

    def inhibitors(self) -> set[tuple[str, str, str]]:
        """Return (what, who, mode) of all that is held."""
        answer = self._call(Message(NAME, PATH, MANAGER, "ListInhibitors"))
        return {(what, who, mode) for what, who, _why, mode, *_ in answer.body[0]}

    def tell(self, signal: str, *, begins: bool) -> None:
        """Let logind send `PrepareForShutdown` or `PrepareForSleep`."""
        mock = "org.freedesktop.DBus.Mock"
        body = [MANAGER, signal, "b", [Variant("b", begins)]]
        self._call(Message(NAME, PATH, mock, "EmitSignal", signature="sssav", body=body))

    def pretend(self, signal: str) -> None:
        """Send everybody what looks like logind's announcement, as any account of the machine can."""

        async def send() -> None:
            bus = await MessageBus(bus_address=self.address).connect()
            names: list[str] = (await bus.call(Message(*_BUS, "ListNames"))).body[0]
            for name in names:
                body = [True]
                await bus.send(
                    Message(name, PATH, MANAGER, signal, message_type=MessageType.SIGNAL, signature="b", body=body)
                )
            await bus.call(Message(*_BUS, "GetId"))
            bus.disconnect()

        asyncio.run(send())

    def names(self) -> int:
        """Return how many are connected, we ourselves not counted."""
        names: list[str] = self._call(Message(*_BUS, "ListNames")).body[0]
        return sum(name.startswith(":") for name in names) - 1

    def _call(self, message: Message) -> Message:
        async def call() -> Message:
            bus = await MessageBus(bus_address=self.address).connect()
            try:
                return await asyncio.wait_for(bus.call(message), PATIENCE_SECONDS)
            finally:
                bus.disconnect()

        answer = asyncio.run(call())
        assert answer.message_type is MessageType.METHOD_RETURN, answer.body
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_logind()
        self.kill()

    def kill(self) -> None:
        """Let the whole bus be gone."""
        self._daemon.kill()
        self._daemon.wait(PATIENCE_SECONDS)
        if self._daemon.stdout is not None:
            self._daemon.stdout.close()

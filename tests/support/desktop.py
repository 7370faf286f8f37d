"""A desktop for one test: a display, a session bus, and a tray that tells what it shows and clicks in it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import threading
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from tests.support.program import PATIENCE_SECONDS, Program, until

from exlab_wizard.process.session.dbus import TRAY_HOST
from exlab_wizard.testing.application import Process

_Result = TypeVar("_Result")
WATCHER_PATH: Final = "/StatusNotifierWatcher"
ITEM: Final = "org.kde.StatusNotifierItem"
MENU: Final = "com.canonical.dbusmenu"
PROPERTIES: Final = "org.freedesktop.DBus.Properties"


@contextlib.contextmanager
def display(width: int = 640, height: int = 400) -> Iterator[str]:
    """Yield the name of a fresh X display, which ends with the block."""
    reading, writing = os.pipe()
    size = f"{width}x{height}x24"
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", size, "-nolisten", "tcp", "-noreset"]
    with subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL) as server:
        os.close(writing)
        with os.fdopen(reading) as told:
            number = told.readline().strip()
        assert number, "Xvfb did not start"
        try:
            yield f":{number}"
        finally:
            server.kill()


@dataclass
class Bus:
    """A session bus of its own."""

    address: str
    process: subprocess.Popen[str]

    def end(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)


@contextlib.contextmanager
def session_bus(folder: Path, services: str = "") -> Iterator[Bus]:
    """Yield a bus that starts only `services` by itself, in its own words; it ends with the block."""
    config = folder / "bus.conf"
    config.write_text(
        '<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen><policy context="default">'
        '<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>'
        f"</policy>{services}</busconfig>"
    )
    command = ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address=1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        bus = Bus(daemon.stdout.readline().strip(), daemon)
        try:
            yield bus
        finally:
            daemon.kill()


@dataclass(frozen=True)
class Shown:
    """What one icon shows."""

    title: str
    picture: str
    """The name of its file, without folder and ending."""
    labels: list[str]
    enabled: list[str]


@dataclass
class Panel:
    """A tray, as a panel has one: a StatusNotifierWatcher, in a thread of its own."""

    address: str
    items: list[tuple[str, str]] = field(default_factory=list)
    """Owner and path of each icon that is there."""
    changes: list[str] = field(default_factory=list)
    """Everything that the icons have told since they came."""
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def __enter__(self) -> Panel:  # noqa: PYI034 - nobody derives from it
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._bus = self._do(self._begin())
        return self

    def __exit__(self, *_raised: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self._loop.close()

    def has_icon(self) -> bool:
        return bool(self.items)

    def look(self) -> Shown:
        """Return what the icon that came last shows now."""
        return self._do(self._look())

    def click(self, label: str) -> None:
        """Choose the item of the menu that begins with `label`, as a panel does it."""
        self._do(self._click(label))

    def _do(self, act: Coroutine[None, None, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(act, self._loop).result(PATIENCE_SECONDS)

    async def _begin(self) -> MessageBus:
        bus = await MessageBus(bus_address=self.address).connect()
        bus.add_message_handler(self._answered)
        for rule in (f"interface='{ITEM}'", f"interface='{MENU}'", "member='NameOwnerChanged'"):
            await bus.call(
                Message(
                    destination="org.freedesktop.DBus",
                    path="/org/freedesktop/DBus",
                    interface="org.freedesktop.DBus",
                    member="AddMatch",
                    signature="s",
                    body=[f"type='signal',{rule}"],
                )
            )
        await bus.request_name(TRAY_HOST)
        return bus

    async def _end(self) -> None:
        self._bus.disconnect()
        with contextlib.suppress(EOFError, ConnectionError):  # as it was told of a bus that is gone
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # the library's own omission

    def _answered(self, message: Message) -> Message | bool | None:
        if message.message_type is MessageType.SIGNAL:
            if message.member == "NameOwnerChanged":
                self.items = [item for item in self.items if item[0] != message.body[0] or message.body[2]]
            elif message.interface in (ITEM, MENU):
                self.changes.append(str(message.member))
            return None
        if message.path != WATCHER_PATH:
            return None
        match message.member:
            case "RegisterStatusNotifierItem":
                name = str(message.body[0])
                item = (str(message.sender), name) if name.startswith("/") else (name, "/StatusNotifierItem")
                self.items.append(item)
                return Message.new_method_return(message)
            case "Get":
                return Message.new_method_return(message, "v", [self._property(str(message.body[1]))])
            case "GetAll":
                names = ("RegisteredStatusNotifierItems", "IsStatusNotifierHostRegistered", "ProtocolVersion")
                return Message.new_method_return(message, "a{sv}", [{name: self._property(name) for name in names}])
            case _:
                return None

    def _property(self, name: str) -> Variant:
        match name:
            case "RegisteredStatusNotifierItems":
                return Variant("as", [f"{owner}{path}" for owner, path in self.items])
            case "IsStatusNotifierHostRegistered":
                return Variant("b", True)  # noqa: FBT003 - a boolean of D-Bus
            case _:
                return Variant("i", 0)

    async def _ask(self, path: str, interface: str, member: str, signature: str, body: list[object]) -> list[object]:
        owner = self.items[-1][0]
        call = Message(destination=owner, path=path, interface=interface, member=member, signature=signature, body=body)
        answer = await self._bus.call(call)
        assert answer.message_type is MessageType.METHOD_RETURN, answer.body
        return list(answer.body)

    async def _properties(self) -> dict[str, Variant]:
        (found,) = await self._ask(self.items[-1][1], PROPERTIES, "GetAll", "s", [ITEM])
        assert isinstance(found, dict)
        return found

    async def _lines(self, menu: str) -> list[tuple[int, dict[str, Variant]]]:
        await self._ask(menu, MENU, "AboutToShow", "i", [0])
        _, layout = await self._ask(menu, MENU, "GetLayout", "iias", [0, -1, []])
        assert isinstance(layout, Sequence)
        return [(child.value[0], child.value[1]) for child in layout[2]]

    async def _look(self) -> Shown:
        properties = await self._properties()
        lines = [line for _, line in await self._lines(str(properties["Menu"].value)) if "label" in line]
        return Shown(
            title=str(properties["Title"].value),
            picture=Path(str(properties["IconName"].value)).stem.removeprefix("exlab-wizard-"),
            labels=[str(line["label"].value) for line in lines],
            enabled=[str(line["label"].value) for line in lines if "enabled" not in line or line["enabled"].value],
        )

    async def _click(self, label: str) -> None:
        menu = str((await self._properties())["Menu"].value)
        found = [
            number
            for number, line in await self._lines(menu)
            if "label" in line and str(line["label"].value).startswith(label)
        ]
        assert found, f"the menu has no {label!r}"
        await self._ask(menu, MENU, "Event", "isvu", [found[0], "clicked", Variant("i", 0), 0])


class OnDesktop(Program):
    """The application as an operator starts it, on the desktop that its environment names; without a window."""

    options: tuple[str, ...] = ("--no-window",)

    def __init__(self, home: Path, **environment: str) -> None:
        super().__init__(home)
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"):
            self.environment.pop(name, None)
        self.environment |= environment

    def start(self, *, ready: bool = True) -> Process:
        process = self._spawn(self.command("run", "--json", *self.options))
        if ready:
            self.until_ready()
        return process

    def says(self, sentence: str) -> None:
        """Wait until its log holds `sentence`."""

        def found() -> bool:
            assert "Traceback" not in self.log(), self.log()
            return sentence in self.log()

        until(found, what=f"{sentence!r} in the log")

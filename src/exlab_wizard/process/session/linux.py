"""systemd-logind, over the system bus: inhibitor locks, and the signals before a shutdown and after sleep.

A lock is a file descriptor: closing it gives it back, and so does the end of this process, whatever becomes of it. The
shutdown lock is of the kind that delays (five seconds, unless logind is told otherwise). The sleep lock is of the kind
that blocks: a delay would let an unattended machine fall asleep in the middle of the night's transfers, and there is
nothing to do in those seconds that the last checkpoint has not done. It never blocks the lid, and whoever wants the
machine to sleep all the same is shown our name and can insist.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import TYPE_CHECKING, Final

from exlab_wizard.errors import ExlabError
from exlab_wizard.process.session.port import NOTHING, WHO, WHY, Heard, Held, SessionUnheardError

if TYPE_CHECKING:
    from dbus_fast import Message
    from dbus_fast.aio import MessageBus

log = logging.getLogger(__name__)

NAME: Final = "org.freedesktop.login1"
PATH: Final = "/org/freedesktop/login1"
MANAGER: Final = "org.freedesktop.login1.Manager"
ANSWER_SECONDS: Final = 5.0
AGAIN_SECONDS: Final = 30.0
_BUS: Final = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_OWNER_RULE: Final = f"type='signal',sender='{_BUS[0]}',member='NameOwnerChanged',arg0='{NAME}'"
_RULE: Final = f"type='signal',sender='{NAME}',interface='{MANAGER}',member='%s'"


class Logind:
    """Locks and signals of logind. A bus that goes away is sought again; one that was never there is not."""

    needed_when_idle = False  # idle, SIGTERM is soon enough

    def __init__(self) -> None:
        """Hold nothing."""
        self._wanted = NOTHING
        self._over = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._locks: dict[tuple[str, str], int] = {}
        self._refused: set[tuple[str, str]] = set()
        self._ending = False
        self._sender = ""
        """The name that the bus has given logind. Anybody may send us what looks like its signals."""

    @property
    def _listens(self) -> bool:
        return not self._over

    def hold(self, held: Held) -> None:
        """Hold back exactly this from now on."""
        self._wanted = held
        self._wake()

    def stop(self) -> None:
        """Give all locks back and let `run` return."""
        self._over = True
        self._wake()

    def _wake(self) -> None:
        if self._loop is not None:
            # A loop that has just been closed needs no waking.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._news.set)

    def run(self, heard: Heard) -> None:
        """Listen until `stop`.

        Raises:
            SessionUnheardError: there is no system bus, or no logind on it.
        """
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            try:
                runner.run(self._stay(heard))
            finally:
                self._loop = None
                self._give_back(set(self._locks))

    async def _stay(self, heard: Heard) -> None:
        known = False
        while self._listens:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    bus = await self._connected(heard)
            except (ExlabError, OSError, EOFError, TimeoutError) as error:
                if not known:
                    msg = f"no logind: {str(error) or 'no answer'}"
                    raise SessionUnheardError(msg) from error
                log.debug("logind is still away: %s", error)
            else:
                known = True
                await self._follow(bus)
            if self._listens:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), AGAIN_SECONDS)
                self._news.clear()

    async def _connected(self, heard: Heard) -> MessageBus:
        from dbus_fast import BusType, Message  # noqa: PLC0415 - loaded when something is in flight for the first time
        from dbus_fast.aio import MessageBus  # noqa: PLC0415 - likewise
        from dbus_fast.errors import DBusFastError  # noqa: PLC0415 - likewise

        try:
            bus = await MessageBus(bus_type=BusType.SYSTEM, negotiate_unix_fd=True).connect()
            try:
                bus.add_message_handler(lambda message: self._hear(message, heard))
                for rule in (_RULE % "PrepareForShutdown", _RULE % "PrepareForSleep", _OWNER_RULE):
                    await _answer(bus, Message(*_BUS, "AddMatch", signature="s", body=[rule]))
                # Proves that there is a logind, and tells what was announced before we listened.
                asked = [MANAGER, "PreparingForShutdown"]
                announced = await _answer(bus, Message(NAME, PATH, _PROPERTIES, "Get", signature="ss", body=asked))
                self._sender = announced.sender or ""
                if announced.body[0].value is True:
                    self._session_ends(heard)
            except BaseException:  # boundary: whatever it was, the connection is not left open
                bus.disconnect()
                raise
        except (DBusFastError, ValueError) as error:
            raise SessionUnheardError(str(error)) from error
        return bus

    async def _follow(self, bus: MessageBus) -> None:
        """Keep the locks as wanted until the end, or until the bus goes away."""
        gone: asyncio.Future[None] = asyncio.ensure_future(bus.wait_for_disconnect())  # type: ignore[no-untyped-call]
        gone.add_done_callback(lambda _: self._news.set())
        try:
            while self._listens and not gone.done():
                await self._hold_wanted(bus)
                await self._news.wait()
                self._news.clear()
        except (ExlabError, OSError, EOFError, TimeoutError) as error:
            log.warning("logind does not answer any more: %s", error)
        finally:
            # Who serves the locks anew after a restart of the bus does not know the old ones.
            self._give_back(set(self._locks))
            if not gone.done():
                bus.disconnect()
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)

    async def _hold_wanted(self, bus: MessageBus) -> None:
        wanted = set()
        if self._wanted.shutdown:
            wanted.add(("shutdown", "delay"))
        if self._wanted.sleep:
            wanted.add(("sleep", "block"))
        self._give_back(self._locks.keys() - wanted)
        self._refused &= wanted
        for lock in sorted(wanted - self._locks.keys() - self._refused):
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._take(bus, lock)

    async def _take(self, bus: MessageBus, lock: tuple[str, str]) -> None:
        from dbus_fast import Message  # noqa: PLC0415 - loaded by now

        what, mode = lock
        ask = Message(NAME, PATH, MANAGER, "Inhibit", signature="ssss", body=[what, WHO, WHY, mode])
        try:
            answer = await _answer(bus, ask)
        except SessionUnheardError as error:
            # A service account may not block sleep, for one. Asked again when it is wanted the next time.
            self._refused.add(lock)
            log.info("logind does not let us hold back %s: %s", what, error)
            return
        self._locks[lock] = answer.unix_fds[answer.body[0]]
        log.debug("%s is held back (%s)", what, mode)

    def _give_back(self, locks: set[tuple[str, str]]) -> None:
        for lock in locks:
            os.close(self._locks.pop(lock))
            log.debug("%s is no longer held back", lock[0])

    def _hear(self, message: Message, heard: Heard) -> None:
        if message.sender == _BUS[0] and message.member == "NameOwnerChanged" and message.body[0] == NAME:
            self._sender = message.body[2]  # it was started again
        if message.sender != self._sender or message.interface != MANAGER or message.body not in ([True], [False]):
            return
        begins: bool = message.body[0]
        if message.member == "PrepareForShutdown" and begins:
            self._session_ends(heard)
        elif message.member == "PrepareForSleep" and begins:
            log.info("the machine goes to sleep; what was copied is noted already")
        elif message.member == "PrepareForSleep":
            log.info("the machine has woken up")
            heard.woke()

    def _session_ends(self, heard: Heard) -> None:
        if not self._ending:
            self._ending = True  # said twice, it would mean force
            heard.session_ends()


async def _answer(bus: MessageBus, message: Message) -> Message:
    """Return the answer.

    Raises:
        SessionUnheardError: it is an error.
    """
    from dbus_fast import MessageType  # noqa: PLC0415 - loaded by now

    answer = await bus.call(message)
    if answer.message_type is MessageType.ERROR:
        msg = f"{answer.error_name}: {' '.join(str(part) for part in answer.body)}"
        raise SessionUnheardError(msg)
    return answer

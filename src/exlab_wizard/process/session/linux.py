"""systemd-logind, over the system bus: inhibitor locks, and the signals before a shutdown and after sleep.

A lock is a file descriptor: closing it releases it, and so does any end of this process. The shutdown lock is of the
kind that delays (five seconds, unless logind is configured otherwise). The sleep lock is of the kind that blocks: a
delay would let an unattended machine fall asleep in the middle of the night's transfers, and there is
nothing to do in those seconds that the last checkpoint has not done. It never blocks the lid, and an operator who
suspends the machine by hand sees our name and can insist.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from typing import TYPE_CHECKING, Final

from exlab_wizard.errors import ExlabError
from exlab_wizard.process.session.dbus import Bus, BusError, BusRefusedError, connect, new_owner
from exlab_wizard.process.session.port import NOTHING, WHO, WHY, Inhibited, SessionCallbacks
from exlab_wizard.process.threads import call_in_loop

if TYPE_CHECKING:
    from dbus_fast import Message

log = logging.getLogger(__name__)

NAME: Final = "org.freedesktop.login1"
PATH: Final = "/org/freedesktop/login1"
MANAGER: Final = "org.freedesktop.login1.Manager"
RECONNECT_INTERVAL_SECONDS: Final = 30.0
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"


class Logind:
    """Locks and signals of logind. It reconnects to a bus that goes away, not to one that was never there."""

    needed_when_idle = False  # idle, SIGTERM is soon enough

    def __init__(self) -> None:
        self._wanted = NOTHING
        self._over = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._locks: dict[tuple[str, str], int] = {}
        self._refused: set[tuple[str, str]] = set()
        self._ending = False
        self._sender = ""
        """The name that the bus has given logind. Anybody may send us what looks like its signals."""

    def inhibit(self, wanted: Inhibited) -> None:
        """Inhibit exactly this from now on."""
        self._wanted = wanted
        call_in_loop(self._loop, self._news.set)

    def stop(self) -> None:
        """Release all locks and let `run` return."""
        self._over.set()
        call_in_loop(self._loop, self._news.set)

    def run(self, callbacks: SessionCallbacks) -> None:
        """Listen until `stop`.

        Raises:
            ExlabError: there is no system bus, or no logind on it.
        """
        with asyncio.Runner() as runner:
            self._news = asyncio.Event()  # one that has been waited for belongs to the loop of an earlier call
            self._loop = runner.get_loop()
            try:
                runner.run(self._stay(callbacks))
            finally:
                self._loop = None
                self._unlock(set(self._locks))

    async def _stay(self, callbacks: SessionCallbacks) -> None:
        known = False
        while not self._over.is_set():
            try:
                bus = await self._connected(callbacks)
            except BusError as error:
                if not known:
                    msg = f"no logind: {error}"
                    raise ExlabError(msg) from error
                log.debug("logind is still away: %s", error)
            else:
                known = True
                await self._follow(bus)
            if not self._over.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), RECONNECT_INTERVAL_SECONDS)
                self._news.clear()

    async def _connected(self, callbacks: SessionCallbacks) -> Bus:
        bus = await connect(lambda signal: self._received(signal, callbacks), system=True)
        try:
            await bus.subscribe(sender=NAME, interface=MANAGER, member="PrepareForShutdown")
            await bus.subscribe(sender=NAME, interface=MANAGER, member="PrepareForSleep")
            await bus.subscribe_owner(NAME)
            # Proves that there is a logind, and reads what was announced before we listened.
            announced = await bus.call(NAME, PATH, _PROPERTIES, "Get", "ss", MANAGER, "PreparingForShutdown")
            self._sender = announced.sender or ""
            if announced.body[0].value is True:
                self._session_ends(callbacks)
        except BaseException:  # boundary: whatever it was, the connection is not left open
            bus.close()
            raise
        return bus

    async def _follow(self, bus: Bus) -> None:
        """Keep the locks as wanted until the end, or until the bus goes away."""
        closed = asyncio.ensure_future(bus.wait_closed())
        closed.add_done_callback(lambda _: self._news.set())
        try:
            while not (self._over.is_set() or closed.done()):
                await self._lock_wanted(bus)
                await self._news.wait()
                self._news.clear()
        except BusError as error:
            log.warning("logind no longer answers: %s", error)
        finally:
            # A restarted bus does not know the old locks.
            self._unlock(set(self._locks))
            if not closed.done():
                bus.close()
            closed.cancel()
            await asyncio.gather(closed, return_exceptions=True)

    async def _lock_wanted(self, bus: Bus) -> None:
        all_locks = {("shutdown", "delay"): self._wanted.shutdown, ("sleep", "block"): self._wanted.sleep}
        wanted = {lock for lock, is_wanted in all_locks.items() if is_wanted}
        self._unlock(self._locks.keys() - wanted)
        self._refused &= wanted
        for lock in sorted(wanted - self._locks.keys() - self._refused):
            await self._lock(bus, lock)

    async def _lock(self, bus: Bus, lock: tuple[str, str]) -> None:
        what, mode = lock
        try:
            answer = await bus.call(NAME, PATH, MANAGER, "Inhibit", "ssss", what, WHO, WHY, mode)
        except BusRefusedError as error:
            # A service account may not block sleep, for one. Asked again when it is wanted the next time.
            self._refused.add(lock)
            log.info("logind does not let us inhibit %s: %s", what, error)
            return
        self._locks[lock] = answer.unix_fds[answer.body[0]]
        log.debug("%s is inhibited (%s)", what, mode)

    def _unlock(self, locks: set[tuple[str, str]]) -> None:
        for lock in locks:
            os.close(self._locks.pop(lock))
            log.debug("%s is no longer inhibited", lock[0])

    def _received(self, message: Message, callbacks: SessionCallbacks) -> None:
        owner = new_owner(message, NAME)
        if owner is not None:
            self._sender = owner  # it was restarted
        if message.sender != self._sender or message.interface != MANAGER or message.body not in ([True], [False]):
            return
        begins: bool = message.body[0]
        if message.member == "PrepareForShutdown" and begins:
            self._session_ends(callbacks)
        elif message.member == "PrepareForSleep" and begins:
            log.info("the machine goes to sleep; all copied bytes are checkpointed")
        elif message.member == "PrepareForSleep":
            log.info("the machine has woken up")
            callbacks.woke()

    def _session_ends(self, callbacks: SessionCallbacks) -> None:
        if not self._ending:
            self._ending = True  # a second call would mean force
            callbacks.session_ends()

"""Shows notifications: a thread with an event loop of its own talks to the daemon that displays them.

A desktop without notifications, or with a daemon that dies or never answers, costs one line in the log, and the
application continues. Every call has a timeout, and callers in other threads never wait. Notifications that cannot be
shown yet, because the daemon of a new session has not started, are shown when it has.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from importlib import import_module
from typing import Final, TypeVar

from exlab_wizard.desktop.notifications.messages import Notice
from exlab_wizard.desktop.notifications.port import Daemon, Listener, NotificationError, Reaction, ReactionKind
from exlab_wizard.domain.text.amounts import elapsed
from exlab_wizard.process.threads import RestartableThread, call_in_loop

log = logging.getLogger(__name__)
_Result = TypeVar("_Result")

CALL_TIMEOUT_SECONDS: Final = 2.0
START_DELAY_SECONDS: Final = 1.0
"""Parts of the application that people wait for load first."""
RETRY_INTERVAL_SECONDS: Final = 30.0
"""How often to try a daemon again that is missing, or did not answer."""
CLOSE_TIMEOUT_SECONDS: Final = 0.2
STOP_TIMEOUT_SECONDS: Final = 0.5
_LATE: Final = (
    ("asyncio.runners", "dbus_fast.aio", "exlab_wizard.desktop.notifications.linux")
    if sys.platform == "linux"
    else ("asyncio.runners", "desktop_notifier", "exlab_wizard.desktop.notifications.windows_macos")
)


@dataclass(slots=True)
class _Visible:
    number: int
    notice: Notice
    react: Callable[[Reaction], None]


class Notifications(RestartableThread, Listener):
    """A service. `show` and `withdraw` may be called from any thread.

    A click opens a page by `open_page`, which returns at once; `make` builds the daemon, this desktop's unless given.
    """

    def __init__(self, open_page: Callable[[str], None], make: Callable[[Listener], Daemon] | None = None) -> None:
        super().__init__("notifications", self._run)
        self._open_page = open_page
        self._make = make or _of_this_desktop
        self._over = threading.Event()
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._daemon: Daemon | None = None
        self.reachable = False
        """Whether a daemon is there and has answered."""
        # Only the loop's thread touches these.
        self._shown: dict[str, _Visible] = {}
        self._said: set[str] = set()
        self._early: list[tuple[int, Reaction]] = []
        self._one_by_one = asyncio.Lock()
        # From any thread, and before the loop is there.
        self._wanted: deque[tuple[Notice, Callable[[Reaction], None]]] = deque()

    @property
    def has_buttons(self) -> bool:
        """Whether an answer can be given on a notification itself."""
        return self._daemon is not None and self._daemon.has_buttons

    def stop(self) -> None:
        """Withdraw the question if it is shown, and stop. Harmless before `start` and the second time."""
        self._over.set()
        call_in_loop(self._loop, self._stop.set)
        self.join(STOP_TIMEOUT_SECONDS)

    def show(self, notice: Notice, react: Callable[[Reaction], None] = lambda _: None) -> None:
        """Show it, now or when a daemon comes; `react` hears what happens to it, in another thread."""
        self._wanted.append((notice, react))
        self._begin(self._show_wanted())

    def prompt(self, notice: Notice, react: Callable[[Reaction], None]) -> Future[None]:
        """Show it now or never; the result is a NotificationError if it was not shown in time."""
        return self._begin(self._show(notice, react))

    def withdraw(self, key: str) -> None:
        """Take it away, if it is shown."""
        self._begin(self._withdraw(key))

    def reacted(self, number: int, reaction: Reaction) -> None:
        """Something happened to a notification: call its `react`."""
        found = [(key, shown) for key, shown in self._shown.items() if shown.number == number]
        if not found and self._one_by_one.locked():
            # It may be pressed before the answer with its number has arrived.
            self._early.append((number, reaction))
        for key, shown in found:
            self._dispatch(key, shown, reaction)

    def _dispatch(self, key: str, shown: _Visible, reaction: Reaction) -> None:
        if reaction.kind in (ReactionKind.DISMISSED, ReactionKind.EXPIRED):
            del self._shown[key]
        if reaction.kind is ReactionKind.DISMISSED and not self.has_buttons:
            # Without buttons a click can only close it: that is the operator's way to react.
            reaction = Reaction(ReactionKind.CLICKED)
        if reaction.kind is ReactionKind.CLICKED:
            self._open_page(shown.notice.page)
        shown.react(reaction)

    def appeared(self) -> None:
        """A daemon has started: read its capabilities, and show what is waiting."""
        if self._daemon is not None:
            self._begin(self._find(self._daemon))

    def vanished(self, why: str) -> None:
        """The daemon has gone, and all its notifications with it."""
        self.reachable = False
        self._say(why)
        shown, self._shown = self._shown, {}
        for one in shown.values():
            one.react(Reaction(ReactionKind.EXPIRED))

    def _begin(self, work: Coroutine[None, None, None]) -> Future[None]:
        loop = self._loop
        with contextlib.suppress(RuntimeError):  # the loop has just been closed
            if loop is not None:
                return asyncio.run_coroutine_threadsafe(work, loop)
        work.close()
        failed: Future[None] = Future()
        failed.set_exception(NotificationError("notifications have not started, or have stopped"))
        return failed

    def _run(self) -> None:
        self._over.wait(START_DELAY_SECONDS)
        try:
            for module in _LATE:
                if self._over.is_set():
                    return
                import_module(module)
        except ImportError as error:
            log.warning("notifications are unavailable: %s", error)
            self._over.wait()
            return
        try:
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                if not self._over.is_set():
                    runner.run(self._serve())
        finally:
            self.reachable, self._loop = False, None

    async def _serve(self) -> None:
        self._daemon = self._make(self)
        while not self._stop.is_set():
            if not self.reachable:
                await self._find(self._daemon)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), RETRY_INTERVAL_SECONDS)
        with contextlib.suppress(NotificationError, TimeoutError):
            await asyncio.wait_for(self._close(self._daemon), CLOSE_TIMEOUT_SECONDS)

    async def _find(self, daemon: Daemon) -> None:
        try:
            await self._bounded(daemon.open())
        except NotificationError as error:
            self._say(str(error))
        else:
            self.reachable = True
            self._said.clear()
        await self._show_wanted()

    async def _close(self, daemon: Daemon) -> None:
        # Unseen notifications stay; a question that can no longer be answered does not.
        for shown in list(self._shown.values()):
            if shown.notice.urgent:
                await daemon.withdraw(shown.number)
        await daemon.close()

    async def _show_wanted(self) -> None:
        """Show what is waiting; where that is not possible the newest of each kind keeps waiting."""
        later: dict[str, tuple[Notice, Callable[[Reaction], None]]] = {}
        while self._wanted:
            notice, react = self._wanted.popleft()
            try:
                await self._show(notice, react)
            except NotificationError as error:
                self._say(str(error))
                later[notice.key] = notice, react
        self._wanted.extend(later.values())

    async def _show(self, notice: Notice, react: Callable[[Reaction], None]) -> None:
        # One at a time: two with the same key at once must end as one notification.
        async with self._one_by_one:
            daemon = self._daemon
            if daemon is None or not self.reachable:
                raise NotificationError("notifications are unavailable: this desktop has no notification daemon now")
            before = self._shown.get(notice.key)
            self._early.clear()
            number = await self._bounded(daemon.show(notice, before.number if before else None))
            self._shown[notice.key] = _Visible(number, notice, react)
        if before is None:
            log.info("notification: %s", notice.title)
        for one, reaction in self._early:
            self.reacted(one, reaction)

    async def _withdraw(self, key: str) -> None:
        async with self._one_by_one:
            shown = self._shown.pop(key, None)
            if shown is not None and self._daemon is not None:
                try:
                    await self._bounded(self._daemon.withdraw(shown.number))
                except NotificationError as error:
                    self._say(str(error))

    async def _bounded(self, work: Coroutine[None, None, _Result]) -> _Result:
        """Return what the daemon answers in time; one that does not is unreachable until it starts again.

        Raises:
            NotificationError: it failed, or took too long.
        """
        try:
            return await asyncio.wait_for(work, CALL_TIMEOUT_SECONDS)
        except NotificationError:
            raise
        except TimeoutError as error:
            self.reachable = False
            msg = f"notifications are unavailable: the daemon does not answer within {elapsed(CALL_TIMEOUT_SECONDS)}"
            raise NotificationError(msg) from error
        except Exception as error:  # boundary: whatever goes wrong, it is only a notification
            msg = f"a notification was not shown: {str(error) or type(error).__name__}"
            raise NotificationError(msg) from error

    def _say(self, sentence: str) -> None:
        """Log a sentence once for as long as no daemon answers."""
        if sentence not in self._said:
            self._said.add(sentence)
            log.warning("%s", sentence)


def _of_this_desktop(listener: Listener) -> Daemon:
    if sys.platform == "linux":
        from exlab_wizard.desktop.notifications.linux import BusDaemon  # noqa: PLC0415 - loaded in our own thread

        return BusDaemon(listener)
    from exlab_wizard.desktop.notifications.windows_macos import Center  # noqa: PLC0415 - likewise

    return Center(listener)

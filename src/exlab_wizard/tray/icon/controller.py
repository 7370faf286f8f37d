"""Controls how the application appears: as an icon in the tray, as the window in its place, or as neither.

It decides in a thread of its own, after the application is ready; whatever fails here is one line in the log. Without a
tray the window takes over: closing it quits. A panel that starts later gets the icon later, and one that
restarts gets it again.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from queue import SimpleQueue
from typing import Final, Protocol

from exlab_wizard.domain.headline import HeadlineState
from exlab_wizard.domain.quit import Phase, QuitEvent, QuitTrigger
from exlab_wizard.process.changes import Changes
from exlab_wizard.process.threads import RestartableThread, begin, call_in_loop
from exlab_wizard.tray.icon.host import NoTrayError, TrayHost
from exlab_wizard.tray.icon.menu import Act
from exlab_wizard.tray.quit_ports import Window

log = logging.getLogger(__name__)

HOST_TIMEOUT_SECONDS: Final = 3.0
"""How long a starting desktop may take to offer a tray before the window takes over."""
UPDATE_INTERVAL_SECONDS: Final = 1.0
"""The shortest time between two changes of the icon."""
STOP_TIMEOUT_SECONDS: Final = 0.4
ICON_IN_MAIN: Final = sys.platform == "darwin"
"""macOS shows icons for the main thread only; elsewhere the main thread is for messages."""


class Mode(StrEnum):
    """How the application appears."""

    DECIDING = "deciding"
    """Whether there is a place for an icon is not known yet."""
    TRAY = "tray"
    WINDOW = "window"
    """No icon; the window is the application, and closing it quits."""
    BACKGROUND = "background"
    """No icon, and no window was wanted."""


class Icon(Protocol):
    """An icon in the tray. All but `run` is for any thread and returns at once."""

    def run(self) -> None:
        """Show it; returns after `stop`, or when it dies."""

    def show(self, state: HeadlineState) -> None:
        """Show this state."""

    def stop(self) -> None:
        """End `run`."""


MakeIcon = Callable[[HeadlineState, Callable[[Act], None], Callable[[], None]], Icon]
"""Makes an icon, which calls these when an item is chosen, and when its display is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IconActions:
    """What the operator can do from the menu, beside opening the window. All of it is for any thread.

    `pause` and `resume` may take a while, and raise ExlabError; the others return at once.
    """

    quit_wanted: Callable[[QuitTrigger], None]
    """Quit; while the quit question is open: force."""
    answer: Callable[[QuitEvent], None]
    """Answer the question of the quit."""
    session_ended: Callable[[], None]
    """Quit as at the end of the session: the desktop is gone."""
    pause: Callable[[], None]
    resume: Callable[[], None]


class IconController(RestartableThread):
    """A service: the icon, or the window in its place. It shows what `read_state` returns, again at each of `changes`.

    `make_icon` is called in the icon's thread and may fail with anything; `release` at the end of each thread that
    reads or writes the database.
    """

    def __init__(  # noqa: PLR0913 - wired once, in the assembly
        self,
        *,
        read_state: Callable[[], HeadlineState],
        changes: Changes,
        window: Window,
        actions: IconActions,
        host: Callable[[], TrayHost],
        make_icon: MakeIcon,
        window_at_start: bool,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__("desktop", self._run)
        self._read_state = read_state
        self._changes = changes
        self._window = window
        self._actions = actions
        self._host = host
        self._make_icon = make_icon
        self._window_at_start = window_at_start
        self._release = release
        self.mode = Mode.DECIDING
        """How the application appears now."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed, self._stopping = asyncio.Event(), asyncio.Event()
        self._stopped = threading.Event()
        self._icon: Icon | None = None
        self._icon_thread: RestartableThread | None = None
        self._for_main: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._died = self._was_closed = False
        changes.subscribe(self._state_changed)

    @property
    def alive(self) -> bool:
        """Whether its thread and its icon live."""
        return super().alive and not self._died

    def stop(self) -> None:
        """Remove the icon; a thread that hangs is left behind. Harmless before `start` and the second time."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._changes.unsubscribe(self._state_changed)
        self._for_main.put(None)
        call_in_loop(self._loop, self._stopping.set)
        icon = self._icon
        if icon is not None:
            icon.stop()
        self.join(STOP_TIMEOUT_SECONDS)
        if self._icon_thread is not None:
            self._icon_thread.join(STOP_TIMEOUT_SECONDS)

    def serve_main(self) -> None:
        """Lend the main thread to the icon, if the system demands it; returns after `stop`."""
        while (task := self._for_main.get()) is not None:
            task()

    def window_closed(self) -> None:
        """The operator closed the window: quit if it is the application. For any thread."""
        if self.mode is Mode.DECIDING:
            self._was_closed = True
        # No `elif`: it may have been decided since, by a thread that has not seen that it was closed.
        if self.mode is Mode.WINDOW and not self._stopped.is_set():
            self._actions.quit_wanted(QuitTrigger.WINDOW)

    def _state_changed(self) -> None:
        call_in_loop(self._loop, self._changed.set)

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            try:
                runner.run(self._live())
            finally:
                self._release()

    async def _live(self) -> None:
        tasks = [asyncio.create_task(task) for task in (self._find_host(), self._follow(), self._stopping.wait())]
        waiting = set(tasks)
        try:
            while not (self._stopped.is_set() or tasks[-1].done()):
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()  # an unexpected error ends the thread, which health then reports
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _find_host(self) -> None:
        host = self._host()
        try:
            await host.watch()
            try:
                async with asyncio.timeout(HOST_TIMEOUT_SECONDS):
                    await host.available()
            except TimeoutError:
                self._do_without("this desktop has no tray: no panel shows icons")
                await host.available()
            await self._show_icon()
        except NoTrayError as error:
            self._do_without(str(error))
        finally:
            host.close()

    async def _show_icon(self) -> None:
        """Show an icon until it dies."""
        made: asyncio.Queue[Icon | None] = asyncio.Queue()
        state = self._read_state()

        def run() -> None:
            try:
                self._icon = icon = self._make_icon(state, self._chosen, self._display_lost)
                call_in_loop(self._loop, lambda: made.put_nowait(icon))
                if not self._stopped.is_set():
                    icon.run()
            except BaseException as error:  # boundary: whatever the libraries of a desktop do, syncing continues
                self._say_lost(error)
            finally:
                call_in_loop(self._loop, lambda: made.put_nowait(None))

        if ICON_IN_MAIN:
            self._for_main.put(run)
        else:
            self._icon_thread = RestartableThread("icon", run)
            self._icon_thread.start()
        icon = await made.get()
        if icon is None:
            return
        self.mode = Mode.TRAY
        self._state_changed()  # something may have changed since `state`
        log.info("the icon is in the tray")
        await made.get()
        self._icon = None
        if not self._stopped.is_set():
            self._died = True
            self._do_without("the icon crashed")

    def _display_lost(self) -> None:
        self._icon = None
        self._icon_thread = None
        if not self._stopped.is_set():
            self._actions.session_ended()

    def _say_lost(self, error: BaseException) -> None:
        """Report an icon that could not be made, which is no fault, or one that crashed."""
        if self._icon is None:
            call_in_loop(self._loop, lambda: self._do_without(f"no icon can be shown here: {_one_line(error)}"))
        else:
            log.error("the icon crashed: %s", _one_line(error))

    async def _follow(self) -> None:
        """Show each new state, a second after the last one at the earliest."""
        shown = self._read_state()
        while shown.phase is not Phase.STOPPED:
            await self._changed.wait()
            self._changed.clear()
            before, shown = shown, self._read_state()
            icon = self._icon
            if icon is not None and shown != before:
                icon.show(shown)
            if self.mode is Mode.WINDOW and before.phase is not Phase.RUNNING and shown.phase is Phase.RUNNING:
                # The quit was cancelled: without a window the operator would not see that the application still runs.
                self._begin("open the window", self._window.open)
            await asyncio.sleep(UPDATE_INTERVAL_SECONDS)

    def _do_without(self, reason: str) -> None:
        if self._window_at_start:
            log.info("no tray icon: %s; the window takes its place, and closing it quits", reason)
            self.mode = Mode.WINDOW
            if self._was_closed:
                self._actions.quit_wanted(QuitTrigger.WINDOW)
            elif self._died:
                self._begin("open the window", self._window.open)
        else:
            log.info("no tray icon: %s; the window opens with: exlab-wizard open", reason)
            self.mode = Mode.BACKGROUND

    def _chosen(self, act: Act) -> None:
        """Do what the operator chose; in the icon's thread, which must not block."""
        match act:
            case Act.OPEN:
                self._begin("open the window", self._window.open)
            case Act.PAUSE | Act.RESUME:
                self._begin(f"menu: {act}", self._actions.pause if act is Act.PAUSE else self._actions.resume)
            case Act.KEEP_RUNNING:
                self._actions.answer(QuitEvent.KEEP_RUNNING)
            case Act.QUIT:
                self._actions.quit_wanted(QuitTrigger.TRAY)

    def _begin(self, name: str, act: Callable[[], None]) -> None:
        def act_and_release() -> None:
            try:
                act()
            finally:
                self._release()

        try:
            begin(name, act_and_release)
        except RuntimeError as error:
            log.warning("%s: %s", name, error)


def _one_line(error: BaseException) -> str:
    said = " ".join(str(error).split()) or type(error).__name__
    return f"{said}; docs/desktop.md says what to install" if isinstance(error, ImportError) else said

"""The one window of the application: opened, brought to the front, missed when it is gone, closed with the quit.

A thread of its own does all of it, started at the first wish to see the window; nobody else ever waits for a browser.
That the window is there is known from its process and from the event stream of its page. Never two at a time: what
cannot be brought to the front is closed and opened anew.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from exlab_wizard.desktop.window.surfaces import Surface, SurfaceError, surfaces
from exlab_wizard.domain.clock import Clock
from exlab_wizard.process.presence import Presence
from exlab_wizard.process.window_request import NoWindowError, Shown

log = logging.getLogger(__name__)

SETTLE_SECONDS: Final = 3.0
"""A window whose process lives for so long counts as open, although nothing is heard of its page."""
SHOW_SECONDS: Final = 30.0
CRASH_SECONDS: Final = 60.0
"""A window that crashes is opened again, unless it crashed within this time before."""
POLL_INTERVAL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class _Wish:
    """Somebody wants to see a page; None is the end of all wishes."""

    page: str
    shown: Future[Shown] = field(default_factory=Future)


class WindowLauncher:
    """Thread-safe. Also a service of the desk: `start` opens the window where that was asked for."""

    def __init__(  # noqa: PLR0913 - typed collaborators, wired once in the assembly
        self,
        state_dir: Path,
        login_url: Callable[[str], str | None],
        presence: Presence,
        clock: Clock,
        *,
        at_start: bool = False,
        on_closed: Callable[[], None] = lambda: None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Show pages by the URLs of `login_url`, which lets a browser in once; nothing is opened yet.

        `on_closed` is called when the operator has closed the window, from the window's thread.
        """
        self.on_closed = on_closed
        self._state_dir = state_dir
        self._login_url = login_url
        self._presence = presence
        self._clock = clock
        self._at_start = at_start
        self._environ = environ
        self._lock = threading.Lock()
        self._wishes: SimpleQueue[_Wish | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self._surface: Surface | None = None
        self._open_s = self._crashed_s = float("-inf")
        self._quiet_s: float | None = None

    @property
    def alive(self) -> bool:
        """Whether the operator has a page open, here or in a browser."""
        surface = self._surface
        return self._presence.pages > 0 or (surface is not None and surface.kind != "browser")

    def start(self) -> None:
        """Open the window, where it is wanted at the start."""
        if self._at_start:
            self.open()

    def open(self, page: str = "/") -> None:
        """Open the window or bring it to the front. Returns at once; what goes wrong is logged."""
        self._want(page)

    def show(self, page: str) -> Shown:
        """Do the same, wait for it, and return what was done.

        Raises:
            NoWindowError: there is none to be had.
        """
        try:
            return self._want(page).shown.result(SHOW_SECONDS)
        except TimeoutError as error:
            msg = f"the window did not open within {SHOW_SECONDS:g} s"
            raise NoWindowError(msg) from error

    def close(self) -> None:
        """Close the window for good, within a second or two; nothing is opened any more."""
        with self._lock:
            self._closed.set()
            thread = self._thread
        self._wishes.put(None)
        if thread is not None:
            thread.join()

    stop = close

    def _want(self, page: str) -> _Wish:
        wish = _Wish(page)
        with self._lock:
            if self._closed.is_set():
                wish.shown.set_exception(NoWindowError("the application is quitting"))
                return wish
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="window", daemon=True)
                self._thread.start()
        self._wishes.put(wish)
        return wish

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                wish = self._wishes.get(timeout=POLL_INTERVAL_SECONDS if self._surface is not None else None)
            except Empty:
                self._look_safely()
                continue
            if wish is not None:
                self._grant(wish)
        if self._surface is not None:
            self._surface.close()
        while not self._wishes.empty():
            left = self._wishes.get()
            if left is not None:
                left.shown.set_exception(NoWindowError("the application is quitting"))

    def _grant(self, wish: _Wish) -> None:
        try:
            wish.shown.set_result(self._show(wish.page))
        except NoWindowError as error:
            log.warning("no window: %s", error)
            wish.shown.set_exception(error)
        except Exception as error:  # boundary: whatever a browser does, the next wish is heard
            log.exception("the window failed")
            wish.shown.set_exception(NoWindowError(f"the window failed: {error}"))

    def _show(self, page: str) -> Shown:
        surface, self._quiet_s = self._surface, None
        if surface is not None and surface.ended() is None:
            # A window without a living page may never have been let in, or show a page of before.
            url = None if page == "/" and self._presence.pages else self._link(page)
            if surface.front(url):
                return Shown("focused", surface.kind)
        if surface is not None:
            self._surface = None
            surface.close()
        return self._open(page)

    def _open(self, page: str) -> Shown:
        said: list[str] = []
        for make in surfaces(self._state_dir, self._environ):
            # Once more where it ended well at once: it handed over to one that was just ending with its application.
            for _ in range(2):
                surface = make()
                why_not = self._tried(surface, page)
                if why_not is None:
                    self._surface, self._open_s = surface, self._clock.monotonic()
                    log.info("the window is open: %s", surface.kind)
                    return Shown("opened", surface.kind)
                log.info("the window: %s", why_not)
                said.append(why_not)
                surface.close()
                if surface.ended() != 0:
                    break
        raise NoWindowError("; ".join(said) or "there is no desktop here: neither DISPLAY nor WAYLAND_DISPLAY is set")

    def _tried(self, surface: Surface, page: str) -> str | None:
        """Open it and return None, or why it did not open."""
        try:
            surface.open(self._link(page))
        except SurfaceError as error:
            return str(error)
        if self._settled(surface):
            return None
        return f"{surface.kind} ended at once, with status {surface.ended()} {surface.trouble()}".rstrip()

    def _settled(self, surface: Surface) -> bool:
        """Return whether the window stays: its page is heard of, or its process lives for a while."""
        before, until = self._presence.pages, self._clock.monotonic() + SETTLE_SECONDS
        while self._presence.pages <= before and self._clock.monotonic() < until:
            if surface.ended() is not None or self._closed.wait(POLL_INTERVAL_SECONDS / 4):
                break
        if surface.ended() is None and self._presence.pages <= before:
            log.info("the window: nothing was heard of its page within %g s", SETTLE_SECONDS)
        return surface.ended() is None

    def _link(self, page: str) -> str:
        url = self._login_url(page)
        if url is None:
            msg = "the HTTP API does not answer, and the window shows nothing without it; see the log"
            raise NoWindowError(msg)
        return url

    def _look_safely(self) -> None:
        try:
            self._look()
        except Exception:  # boundary: whatever a browser does, the next wish is heard
            log.exception("the window cannot be looked after")
            self._surface = None

    def _look(self) -> None:
        """Notice a window that is gone: opened again after a crash, told to `on_closed` otherwise."""
        surface, now = self._surface, self._clock.monotonic()
        if surface is None:
            return
        status = surface.ended()
        gone = status is not None or (surface.kind == "browser" and now - self._open_s > surface.timeout_s)
        if not gone or self._presence.pages:
            self._quiet_s = None
            return
        if status and self._quiet_s is None:
            log.warning("the window's process ended with status %d", status)
            if now - self._crashed_s > CRASH_SECONDS:
                self._crashed_s, self._surface = now, None
                surface.close()
                self._grant(_Wish("/"))
                return
        self._quiet_s = now if self._quiet_s is None else self._quiet_s
        if now - self._quiet_s >= surface.timeout_s:
            self._surface, self._quiet_s = None, None
            surface.close()
            log.info("the window was closed")
            self.on_closed()

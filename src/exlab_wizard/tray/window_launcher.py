"""The one window of the application: opens it, brings it to the front, notices its end, closes it with the quit.

All of it happens in a thread of its own, started with the first request for the window; nothing else waits for a
browser. The window's process and the event stream of its page prove that it is open. There are never two: one that
cannot be brought to the front is closed and opened again.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from exlab_wizard.desktop.window.surfaces import Surface, SurfaceError, surfaces
from exlab_wizard.domain.clock import Clock
from exlab_wizard.domain.text.amounts import elapsed
from exlab_wizard.process.presence import Presence
from exlab_wizard.process.window_request import NO_DISPLAY, NoWindowError, WindowShown

log = logging.getLogger(__name__)

SETTLE_SECONDS: Final = 3.0
"""A window whose process lives this long counts as open, even if its page does not connect."""
SHOW_TIMEOUT_SECONDS: Final = 30.0
CRASH_INTERVAL_SECONDS: Final = 60.0
"""A window that crashes is opened again, unless the last crash is more recent than this."""
POLL_INTERVAL_SECONDS: Final = 0.2


class WindowLauncher:
    """Thread-safe. Also a service of the desktop: `start` opens the window if it is to open at launch.

    Pages are shown by the URLs of `login_url`, which lets a browser in once. `on_closed` is called from the window's
    thread when the operator has closed the window.
    """

    def __init__(  # noqa: PLR0913 - typed collaborators, wired once in the assembly
        self,
        state_dir: Path,
        login_url: Callable[[str], str | None],
        audience: Presence,
        clock: Clock,
        *,
        at_start: bool = False,
        on_closed: Callable[[], None] = lambda: None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.on_closed = on_closed
        self._state_dir = state_dir
        self._login_url = login_url
        self._presence = audience
        self._clock = clock
        self._at_start = at_start
        self._environ = environ
        self._lock = threading.Lock()
        self._requests: SimpleQueue[tuple[str, Future[WindowShown]] | None] = SimpleQueue()
        """Pages to show; None wakes the thread."""
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
        """Open the window, if it is to open at launch."""
        if self._at_start:
            self.open()

    def open(self, page: str = "/") -> None:
        """Open the window or bring it to the front. Returns at once; failures are logged."""
        self._request(page)

    def show(self, page: str) -> WindowShown:
        """Do the same, wait for it, and return what was done.

        Raises:
            NoWindowError: no window can be opened.
        """
        try:
            return self._request(page).result(SHOW_TIMEOUT_SECONDS)
        except TimeoutError as error:
            msg = f"the window did not open within {elapsed(SHOW_TIMEOUT_SECONDS)}"
            raise NoWindowError(msg) from error

    def close(self) -> None:
        """Close the window for good, within a second or two; later requests fail."""
        with self._lock:
            self._closed.set()
            thread = self._thread
        self._requests.put(None)
        if thread is not None:
            thread.join()

    stop = close

    def _request(self, page: str) -> Future[WindowShown]:
        shown: Future[WindowShown] = Future()
        with self._lock:
            if self._closed.is_set():
                shown.set_exception(NoWindowError("the application is quitting"))
                return shown
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="window", daemon=True)
                self._thread.start()
        self._requests.put((page, shown))
        return shown

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                request = self._requests.get(timeout=POLL_INTERVAL_SECONDS if self._surface is not None else None)
            except Empty:
                self._poll_safely()
                continue
            if request is not None:
                self._grant(*request)
        if self._surface is not None:
            self._surface.close()
        while not self._requests.empty():
            left = self._requests.get()
            if left is not None:
                left[1].set_exception(NoWindowError("the application is quitting"))

    def _grant(self, page: str, shown: Future[WindowShown]) -> None:
        try:
            shown.set_result(self._show(page))
        except NoWindowError as error:
            log.warning("cannot open the window: %s", error)
            shown.set_exception(error)
        except Exception as error:  # boundary: whatever a browser does, the next request is served
            log.exception("opening the window failed")
            shown.set_exception(NoWindowError(f"opening the window failed: {error}"))

    def _show(self, page: str) -> WindowShown:
        surface, self._quiet_s = self._surface, None
        if surface is not None and surface.ended() is None:
            # A window without a connected page may never have logged in, or show an old page.
            url = None if page == "/" and self._presence.pages else self._link(page)
            if surface.front(url):
                return WindowShown("focused", surface.kind)
        if surface is not None:
            self._surface = None
            surface.close()
        return self._open(page)

    def _open(self, page: str) -> WindowShown:
        reasons: list[str] = []
        for make in surfaces(self._state_dir, self._environ):
            # A second try if it exits with 0 at once: it handed over to a browser that was about to end.
            for _ in range(2):
                surface = make()
                reason = self._try_open(surface, page)
                if reason is None:
                    self._surface, self._open_s = surface, self._clock.monotonic()
                    log.info("the window is open (%s)", surface.kind)
                    return WindowShown("opened", surface.kind)
                log.info("window: %s", reason)
                reasons.append(reason)
                surface.close()
                if surface.ended() != 0:
                    break
        raise NoWindowError("; ".join(reasons) or NO_DISPLAY)

    def _try_open(self, surface: Surface, page: str) -> str | None:
        """Open it and return None, or why it did not open."""
        try:
            surface.open(self._link(page))
        except SurfaceError as error:
            return str(error)
        if self._settled(surface):
            return None
        return f"{surface.kind} exited at once with status {surface.ended()} {surface.trouble()}".rstrip()

    def _settled(self, surface: Surface) -> bool:
        """Return whether the window stays: its page connects, or its process lives for a while."""
        before, until = self._presence.pages, self._clock.monotonic() + SETTLE_SECONDS
        while self._presence.pages <= before and self._clock.monotonic() < until:
            if surface.ended() is not None or self._closed.wait(POLL_INTERVAL_SECONDS / 4):
                break
        if surface.ended() is None and self._presence.pages <= before:
            log.info("window: its page did not connect within %s", elapsed(SETTLE_SECONDS))
        return surface.ended() is None

    def _link(self, page: str) -> str:
        url = self._login_url(page)
        if url is None:
            raise NoWindowError("the HTTP API does not answer, and the window needs it. Check the log.")
        return url

    def _poll_safely(self) -> None:
        try:
            self._poll()
        except Exception:  # boundary: whatever a browser does, the next request is served
            log.exception("cannot monitor the window")
            self._surface = None

    def _poll(self) -> None:
        """Notice a window that is gone: open it again after a crash, call `on_closed` otherwise."""
        surface, now = self._surface, self._clock.monotonic()
        if surface is None:
            return
        status = surface.ended()
        gone = status is not None or (surface.kind == "browser" and now - self._open_s > surface.timeout_s)
        if not gone or self._presence.pages:
            self._quiet_s = None
            return
        if status and self._quiet_s is None:
            log.warning("the window's process exited with status %d", status)
            if now - self._crashed_s > CRASH_INTERVAL_SECONDS:
                self._crashed_s, self._surface = now, None
                surface.close()
                self._grant("/", Future())
                return
        self._quiet_s = now if self._quiet_s is None else self._quiet_s
        if now - self._quiet_s >= surface.timeout_s:
            self._surface, self._quiet_s = None, None
            surface.close()
            log.info("the window was closed")
            self.on_closed()

"""Listens for what the operating system announces: the session ends, the machine goes to sleep or wakes up.

It asks the system to delay a shutdown while something is in flight or leased, and not to fall asleep while bytes move.
Both are released as soon as that is over: at a change, never by polling while nothing happens. Whatever fails here is
one line in the log; signals still end the application, and a sudden end loses nothing.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from exlab_wizard.domain.quit import DrainCount
from exlab_wizard.errors import ExlabError, PredicateUnreadableError
from exlab_wizard.process.changes import Changes
from exlab_wizard.process.session.port import NOTHING, Inhibited, SessionCallbacks, SessionHost
from exlab_wizard.process.threads import RestartableThread

log = logging.getLogger(__name__)

MOVING_POLL_INTERVAL_SECONDS: Final = 30.0
"""While sleep is inhibited: how often to check whether bytes still move."""
RETRY_INTERVAL_SECONDS: Final = 60.0
"""After a failure: each attempt costs a thread, a loop and a connection."""
STOP_TIMEOUT_SECONDS: Final = 0.5


def decide(count: DrainCount | None, *, moving: bool, before: Inhibited) -> Inhibited:
    """Return what to inhibit; an unknown count changes nothing."""
    if count is None:
        return before
    return Inhibited(shutdown=not count.idle, sleep=count.in_flight_jobs > 0 and moving)


class SessionWatch(RestartableThread):
    """A service: what is inhibited follows what is in flight, counted at each of `changes`.

    `moving` says whether bytes move; `release` is called by the thread that counts, before it ends. A second thread
    listens to the system; a system that announces nothing is no failure.
    """

    def __init__(  # noqa: PLR0913 - wired once, in the assembly
        self,
        host: SessionHost,
        callbacks: SessionCallbacks,
        *,
        count: Callable[[], DrainCount],
        moving: Callable[[], bool],
        changes: Changes,
        release: Callable[[], None],
    ) -> None:
        super().__init__("session", self._decide)
        self._host = host
        self._callbacks = callbacks
        self._drain_count = count
        self._moving = moving
        self._changes = changes
        self._release = release
        self._changed = threading.Event()
        self._over = False
        self._inhibited = NOTHING
        self._unavailable = False
        self._retry_at = 0.0
        self._listening = RestartableThread("session-host", self._listen)

    def start(self) -> None:
        """Begin; the system is not contacted before that is needed."""
        if self._host.needed_when_idle:
            self._listening.start()
        self._changes.subscribe(self._changed.set)
        self._changed.set()
        super().start()

    def stop(self) -> None:
        """Inhibit nothing, and end both threads; one that hangs is left behind."""
        self._over = True
        self._changed.set()
        self._host.stop()
        self.join(STOP_TIMEOUT_SECONDS)
        self._listening.join(STOP_TIMEOUT_SECONDS)

    def _decide(self) -> None:
        try:
            while not self._over:
                self._changed.wait(MOVING_POLL_INTERVAL_SECONDS if self._inhibited.sleep else None)
                self._changed.clear()
                if self._over:
                    break
                wanted = decide(self._count(), moving=self._moving(), before=self._inhibited)
                if wanted != self._inhibited:
                    self._inhibited = wanted
                    self._host.inhibit(wanted)
                if wanted != NOTHING and time.monotonic() >= self._retry_at:
                    with contextlib.suppress(RuntimeError):  # no thread available: tried again at the next change
                        self._listening.start()
        finally:
            self._release()

    def _count(self) -> DrainCount | None:
        try:
            return self._drain_count()
        except PredicateUnreadableError:
            return None

    def _listen(self) -> None:
        try:
            self._host.run(self._callbacks)
        except (ExlabError, OSError, MemoryError, RuntimeError, ImportError) as error:  # or it has run out
            # It is retried while there is something to inhibit; one line is enough.
            log.log(
                logging.DEBUG if self._unavailable else logging.INFO,
                "the system does not announce the end of the session (%s); signals still work",
                error,
            )
            self._unavailable = True
        except Exception:  # boundary: nothing on the desktop side is ever fatal
            log.warning("cannot listen for the end of the session; signals still work", exc_info=True)
        finally:
            self._retry_at = time.monotonic() + RETRY_INTERVAL_SECONDS


def host_of_this_system() -> SessionHost:
    """Return what to listen to here; nothing heavy is loaded by it."""
    if sys.platform == "win32":
        from exlab_wizard.process.session.windows import HiddenWindow  # noqa: PLC0415 - one system's own

        return HiddenWindow()
    if sys.platform == "darwin":
        from exlab_wizard.process.session.macos import Workspace  # noqa: PLC0415 - likewise

        return Workspace()
    from exlab_wizard.process.session.linux import Logind  # noqa: PLC0415 - likewise

    return Logind()

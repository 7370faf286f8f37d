"""What the operating system knows before we do: the session ends, the machine goes to sleep or wakes up.

It is asked to wait a little with a shutdown while something is in flight or leased, and not to fall asleep while bytes
move. Both are taken back as soon as that is over: by what changes, never by looking while nothing happens. Whatever
fails here is one line in the log; signals end the application all the same, and nothing is lost by a sudden end.
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
from exlab_wizard.process.session.port import NOTHING, Heard, Held, SessionHost, SessionUnheardError
from exlab_wizard.process.threads import LastingThread

log = logging.getLogger(__name__)

STILL_SECONDS: Final = 30.0
"""How often it is looked whether bytes still move, while sleep is held off for their sake."""
AGAIN_SECONDS: Final = 60.0
"""How long a system that tells nothing is left alone: asking it costs a thread, a loop and a connection."""
END_SECONDS: Final = 0.5


def decide(count: DrainCount | None, *, moving: bool, before: Held) -> Held:
    """Return what is to be held back; what is unknown changes nothing."""
    if count is None:
        return before
    return Held(shutdown=not count.idle, sleep=count.in_flight_jobs > 0 and moving)


class SessionEnd:
    """A service: keeps what is held back true to what is in flight."""

    def __init__(  # noqa: PLR0913 - wired once, in the assembly
        self,
        host: SessionHost,
        heard: Heard,
        *,
        count: Callable[[], DrainCount],
        moving: Callable[[], bool],
        changes: Changes,
        release: Callable[[], None],
    ) -> None:
        """Call `count`, at each of `changes`; `moving` says whether bytes move.

        `release` is called by the thread that counts, before it ends.
        """
        self._host = host
        self._heard = heard
        self._drain_count = count
        self._moving = moving
        self._changes = changes
        self._release = release
        self._changed = threading.Event()
        self._over = False
        self._held = NOTHING
        self._unheard = False
        self._ask_after = 0.0
        self._deciding = LastingThread("session", self._decide)
        self._listening = LastingThread("session-host", self._listen)

    @property
    def alive(self) -> bool:
        """Whether its thread is there, or need not be; a system that tells nothing is no death."""
        return self._deciding.alive

    @property
    def held(self) -> Held:
        """What is held back now, as far as the system grants it."""
        return self._held

    def start(self) -> None:
        """Begin; the system is not talked to before that is needed."""
        if self._host.needed_when_idle:
            self._listening.start()
        self._changes.subscribe(self._changed.set)
        self._changed.set()
        self._deciding.start()

    def stop(self) -> None:
        """Hold nothing back, and end both threads; one that hangs is left behind."""
        self._over = True
        self._changed.set()
        self._host.stop()
        self._deciding.join(END_SECONDS)
        self._listening.join(END_SECONDS)

    def _decide(self) -> None:
        try:
            while not self._over:
                self._changed.wait(STILL_SECONDS if self._held.sleep else None)
                self._changed.clear()
                if self._over:
                    break
                held = decide(self._count(), moving=self._moving(), before=self._held)
                if held != self._held:
                    self._held = held
                    self._host.hold(held)
                if held != NOTHING and time.monotonic() >= self._ask_after:
                    with contextlib.suppress(RuntimeError):  # no thread to be had now: tried at the next change
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
            self._host.run(self._heard)
        except (ExlabError, OSError, MemoryError, RuntimeError, ImportError) as error:  # or it has run out
            # It is tried again while there is something to hold back; one line is enough.
            log.log(
                logging.DEBUG if self._unheard else logging.INFO,
                "the system does not say when the session ends (%s); signals are heard all the same",
                error,
            )
            self._unheard = True
        except Exception:  # boundary: of the desktop side nothing is ever fatal
            log.warning("the end of the session cannot be heard; signals are heard all the same", exc_info=True)
        finally:
            self._ask_after = time.monotonic() + AGAIN_SECONDS


class Deaf:
    """A system that is not known to tell anything."""

    needed_when_idle = False

    def run(self, heard: Heard) -> None:  # noqa: ARG002 - there is nothing to hear
        """Say so."""
        msg = f"nothing is known of how {sys.platform} does it"
        raise SessionUnheardError(msg)

    def hold(self, held: Held) -> None:
        """Hold nothing back."""

    def stop(self) -> None:
        """There is nothing to end."""


def host_of_this_system() -> SessionHost:
    """Return what to listen to here; nothing heavy is loaded by it."""
    if sys.platform == "linux":
        from exlab_wizard.process.session.linux import Logind  # noqa: PLC0415 - one system's own

        return Logind()
    if sys.platform == "win32":
        from exlab_wizard.process.session.windows import HiddenWindow  # noqa: PLC0415 - likewise

        return HiddenWindow()
    if sys.platform == "darwin":
        from exlab_wizard.process.session.macos import Workspace  # noqa: PLC0415 - likewise

        return Workspace()
    return Deaf()

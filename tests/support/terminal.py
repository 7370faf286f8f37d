"""A pseudo-terminal: what is typed goes in at the keyboard, what is shown is kept; and programs that sit at it."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from tests.support.program import PATIENCE_SECONDS

# The child takes the terminal as its own, as a login shell does, and so becomes its foreground; and like one it hears
# when the terminal is closed, also where the tests themselves were started with nohup.
_SIT_DOWN: Final = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Screen:
    """One pseudo-terminal with a reader thread, so that whoever writes to it is never blocked."""

    def __init__(self) -> None:
        self._keyboard, self.line = pty.openpty()
        self.text = ""
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        # The read fails once nobody has the terminal open any more.
        with contextlib.suppress(OSError):
            while shown := os.read(self._keyboard, 4096):
                with self._changed:
                    self.text += shown.decode(errors="replace")
                    self._changed.notify_all()

    def type(self, text: str) -> None:
        """Type, newline included where one is meant; `\\x03` is Ctrl-C."""
        os.write(self._keyboard, text.encode())

    def shows(self, text: str, times: int = 1, timeout: float = PATIENCE_SECONDS) -> None:
        """Wait until `text` was shown so many times."""
        with self._changed:
            shown = self._changed.wait_for(lambda: self.text.count(text) >= times, timeout)
        assert shown, f"{text!r} was not shown {times} times: {self.text!r}"

    def close(self) -> None:
        """End the reader; nobody else may have the terminal open."""
        os.close(self.line)
        self._reader.join(PATIENCE_SECONDS)
        os.close(self._keyboard)


class Seat:
    """A program in the foreground of a terminal of its own; leaving kills it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.screen = Screen()
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SIT_DOWN, *command],
            env=environment,
            stdin=self.screen.line,
            stdout=self.screen.line,
            stderr=self.screen.line,
            start_new_session=True,
        )

    def wait(self, timeout: float = PATIENCE_SECONDS) -> int:
        """Return the exit status; fail, with what the terminal shows, when the program lives on."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(timeout)
        msg = f"still running after {timeout:g} s: {self.screen.text!r}"
        raise AssertionError(msg)

    def __enter__(self) -> Seat:  # noqa: PYI034 - nobody derives from it
        return self

    def __exit__(self, *_raised: object) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)
        self.screen.close()

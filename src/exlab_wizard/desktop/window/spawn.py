"""Starts a program with pipes at its descriptors 3 and 4, where Chromium looks for its control channel.

`subprocess` cannot place descriptors without code that runs between fork and exec, which is no place for a program with
threads. The program gets a session of its own: Ctrl-C at our terminal is for us.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final

_POLL_INTERVAL_SECONDS: Final = 0.01

if sys.platform != "win32":
    import fcntl


class Spawned:
    """A child process, as far as a window needs it. For one thread."""

    def __init__(self, pid: int, command: Sequence[str]) -> None:
        """Know the child `pid`, which runs `command`."""
        self.pid = pid
        self.returncode: int | None = None
        self._command = command

    def poll(self) -> int | None:
        """Return its exit status, negative for a signal; None while it runs."""
        if self.returncode is None and sys.platform != "win32":
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # another part of this process has waited for it
                self.returncode = 0
            else:
                self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Return its exit status.

        Raises:
            subprocess.TimeoutExpired: it still runs after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(self._command, timeout)
            time.sleep(_POLL_INTERVAL_SECONDS)
        return status

    def terminate(self) -> None:
        """Ask it to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        if sys.platform != "win32":
            self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def spawn(command: Sequence[str]) -> tuple[Spawned, int, int]:
    """Start `command`; return it, the descriptor of its output and that of its input.

    Raises:
        OSError: it cannot start.
    """
    if sys.platform == "win32":
        msg = "this system cannot pass descriptors"
        raise OSError(msg)
    ours: list[int] = []
    theirs: list[int] = []
    try:
        for _ in range(2):
            reading, writing = os.pipe()
            ours += [reading, writing]
        hears, commands, answers, says = ours
        # High up, so that placing one never lands on the other.
        theirs = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 100) for descriptor in (hears, says)]
        nowhere = os.open(os.devnull, os.O_RDWR)
        theirs.append(nowhere)
        places = [(nowhere, 0), (nowhere, 1), (nowhere, 2), (theirs[0], 3), (theirs[1], 4)]
        pid = os.posix_spawn(
            command[0],
            list(command),
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, source, place) for source, place in places],
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP],
        )
    except BaseException:  # boundary: whatever kept it from starting, our descriptors are closed
        _close(ours)
        raise
    finally:
        _close(theirs)
    _close([hears, says])
    return Spawned(pid, command), answers, commands


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)

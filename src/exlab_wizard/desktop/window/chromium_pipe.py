"""Chromium's control channel over two pipes: no other program can reach it, and Chromium exits when our side closes.

Messages are JSON, each ended by a NUL byte. Only what a window needs: bring it to the front, load a page in it.
Chromium looks for the pipes at its descriptors 3 and 4. `subprocess` cannot place descriptors without code that runs
between fork and exec, which is no place for a program with threads.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

import psutil

from exlab_wizard.domain.text.amounts import elapsed
from exlab_wizard.errors import ExlabError

if sys.platform != "win32":
    import fcntl

ANSWER_TIMEOUT_SECONDS: Final = 3.0
_LARGEST_BYTES: Final = 4 << 20
_READ_BYTES: Final = 1 << 16


class DevToolsError(ExlabError):
    """The browser does not answer, or refuses."""


class DevTools:
    """The near end of the two pipes, given as descriptors, which `close` closes. For one thread."""

    def __init__(self, answers: int, commands: int) -> None:
        self._answers = answers
        self._commands = commands
        self._last = 0
        self._unread = b""
        self._open = True

    def front(self, url: str | None) -> bool:
        """Bring the window to the front, and load `url` if given; return False if it has no window.

        Raises:
            DevToolsError: the browser does not answer.
        """
        target = self._page()
        if target is None:
            return False
        self._call("Target.activateTarget", {"targetId": target})
        if url is not None:
            match self._call("Target.attachToTarget", {"targetId": target, "flatten": True}):
                case {"sessionId": str(session)}:
                    self._call("Page.navigate", {"url": url}, session)
                    self._call("Target.detachFromTarget", {"sessionId": session})
                case _:
                    return False
        return True

    def close(self) -> None:
        """Close both pipes, at which the browser exits."""
        if self._open:
            self._open = False
            _close([self._commands, self._answers])

    def _page(self) -> str | None:
        match self._call("Target.getTargets", {}):
            case {"targetInfos": [*targets]}:
                for target in targets:
                    match target:
                        case {"type": "page", "targetId": str(name)}:
                            return name
        return None

    def _call(self, method: str, values: Mapping[str, object], session: str | None = None) -> Mapping[str, object]:
        self._last += 1
        message: dict[str, object] = {"id": self._last, "method": method, "params": values}
        if session is not None:
            message["sessionId"] = session
        try:
            os.write(self._commands, json.dumps(message).encode() + b"\0")
            answer = self._answer(time.monotonic() + ANSWER_TIMEOUT_SECONDS)
        except (OSError, ValueError) as error:
            msg = f"the browser does not answer {method}: {error}"
            raise DevToolsError(msg) from error
        match answer.get("result"):
            case dict(result):
                return {str(name): value for name, value in result.items()}
        msg = f"the browser refuses {method}: {str(answer.get('error'))[:200]}"
        raise DevToolsError(msg)

    def _answer(self, deadline: float) -> Mapping[str, object]:
        """Return the answer to the last call; events and late answers to earlier calls are skipped."""
        while True:
            text, ended, rest = self._unread.partition(b"\0")
            if ended:
                self._unread = rest
                match json.loads(text):
                    case {"id": number, **answer} if number == self._last:
                        return {str(name): value for name, value in answer.items()}
                continue
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._answers], [], [], left)[0]:
                msg = f"no answer within {elapsed(ANSWER_TIMEOUT_SECONDS)}"
                raise TimeoutError(msg)
            some = os.read(self._answers, _READ_BYTES)
            if not some or len(self._unread) > _LARGEST_BYTES:
                raise ConnectionError("it has exited")
            self._unread += some


class Spawned(psutil.Process):
    """A child process, as far as a window needs it. For one thread."""

    def poll(self) -> int | None:
        """Return its exit status, negative for a signal; None while it runs."""
        try:
            return self.wait(0) or 0  # psutil returns None if another part of this process has waited for it
        except psutil.TimeoutExpired:
            return None


def spawn(command: Sequence[str]) -> tuple[Spawned, DevTools]:
    """Start `command` in a session of its own: Ctrl-C at our terminal is for us.

    Raises:
        OSError: it cannot start.
    """
    if sys.platform == "win32":
        raise OSError("this system cannot pass descriptors")
    ours: list[int] = []
    theirs: list[int] = []
    try:
        ours += os.pipe()
        ours += os.pipe()
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
    return Spawned(pid), DevTools(answers, commands)


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)

"""Chromium's control channel over two pipes: no other program can reach it, and Chromium exits when our side closes.

Messages are JSON, each ended by a NUL byte. Only what a window needs: bring it to the front, load a page in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import time
from collections.abc import Mapping
from typing import Final

from exlab_wizard.errors import ExlabError

ANSWER_TIMEOUT_SECONDS: Final = 3.0
_LARGEST_BYTES: Final = 4 << 20
_READ_BYTES: Final = 1 << 16


class DevToolsError(ExlabError):
    """The browser does not answer, or refuses."""


class DevTools:
    """The near end of the two pipes. For one thread."""

    def __init__(self, answers: int, commands: int) -> None:
        """Read from the descriptor `answers`, write to `commands`; both are closed by `close`."""
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
            for descriptor in (self._commands, self._answers):
                with contextlib.suppress(OSError):
                    os.close(descriptor)

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
                msg = f"no answer within {ANSWER_TIMEOUT_SECONDS:g} s"
                raise TimeoutError(msg)
            some = os.read(self._answers, _READ_BYTES)
            if not some or len(self._unread) > _LARGEST_BYTES:
                msg = "it has exited"
                raise ConnectionError(msg)
            self._unread += some

"""The window's process: one web view, controlled by lines of JSON on standard input.

The first line, `{"title", "url"}`, opens the window; each further one brings it to the front, with another page where
`url` is not null. At the end of the input, which is also the end of the application, the window closes.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Final, Protocol

END_SECONDS: Final = 1.0
WIDTH, HEIGHT = 1120, 780


class _Window(Protocol):
    def load_url(self, url: str) -> None: ...
    def restore(self) -> None: ...
    def show(self) -> None: ...
    def destroy(self) -> None: ...


def main() -> int:
    """Show the window until it is closed, or the input ends."""
    line = sys.stdin.readline()
    if not line:
        return 0
    title, url = _parsed(line)
    import webview  # noqa: PLC0415 - an extra, and slow to load; only for a window

    window: _Window = webview.create_window(title, url or "about:blank", width=WIDTH, height=HEIGHT)
    threading.Thread(target=_obey, args=(window,), name="orders", daemon=True).start()
    webview.start()
    return 0


def _obey(window: _Window) -> None:
    for line in sys.stdin:
        _, url = _parsed(line)
        if url is not None:
            window.load_url(url)
        window.restore()
        window.show()
    # A toolkit that hangs must not leave a dead window behind.
    last_resort = threading.Timer(END_SECONDS, lambda: os._exit(0))
    last_resort.daemon = True
    last_resort.start()
    window.destroy()


def _parsed(line: str) -> tuple[str, str | None]:
    match json.loads(line):
        case {"title": str(title), "url": str() | None as url}:
            return title, url
    raise ValueError("a line must contain title and url")


if __name__ == "__main__":
    sys.exit(main())

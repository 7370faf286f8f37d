"""Which clients follow the application over HTTP and could answer a question: open event streams, recent requests.

A page in a browser is known by its cookie: as long as its stream is open, the operator has the window before them.
"""

from __future__ import annotations

import threading
from typing import Final

from exlab_wizard.domain.clock import Clock

ATTENTION_SECONDS: Final = 5.0
"""A client that polls the quit at least this often can be asked."""


class Presence:
    """Thread-safe. `streams` counts the open event streams, `pages` those of them that belong to pages in a browser."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.streams = self.pages = self._answering = 0
        self._focused = False
        self._seen_until = float("-inf")

    @property
    def focused(self) -> bool:
        """Whether a page is open and last reported that the operator works in it."""
        return self._focused and self.pages > 0

    @property
    def can_answer(self) -> bool:
        """Whether a client would show a question."""
        return self._answering > 0 or self._clock.monotonic() < self._seen_until

    def seen(self) -> None:
        """Note that a client polls now."""
        self._seen_until = self._clock.monotonic() + ATTENTION_SECONDS

    def focus(self, *, focused: bool) -> None:
        """Note whether the operator works in the page now."""
        self._focused = focused

    def enter(self, *, answers: bool = True, page: bool = False) -> None:
        """Count one more stream; `answers` says whether its reader can be asked, `page` whether it is a page."""
        with self._lock:
            self.streams += 1
            self._answering += answers
            self.pages += page

    def leave(self, *, answers: bool = True, page: bool = False) -> None:
        """Count one stream less, given as for `enter`; its reader may come back in a moment."""
        with self._lock:
            self.streams -= 1
            self._answering -= answers
            self.pages -= page
        if answers:
            self.seen()

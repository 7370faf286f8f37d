"""Who follows the application over HTTP, and so could answer a question: whoever listens, or looked a moment ago.

A page in a browser is known by its cookie: as long as one listens, the operator has the window before them. It hands on
that something may have changed; where nobody listens that costs next to nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from exlab_wizard.domain.clock import Clock

ATTENTION_SECONDS: Final = 5.0
"""A client that looks at the quit at least so often can be asked."""


class Audience:
    """Thread-safe."""

    def __init__(self, clock: Clock, always: Callable[[], None] = lambda: None) -> None:
        """Begin with nobody there; `always` is told of changes too, whoever listens."""
        self._clock = clock
        self._always = always
        self._lock = threading.Lock()
        self._followers: tuple[Callable[[], None], ...] = ()
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._answering = 0
        self._pages = 0
        self._focused = False
        self._seen_until = float("-inf")

    @property
    def listeners(self) -> int:
        """How many event streams are open."""
        return len(self._listeners)

    @property
    def pages(self) -> int:
        """How many of them belong to pages in a browser."""
        return self._pages

    @property
    def focused(self) -> bool:
        """Whether a page is open and said last that the operator works in it."""
        return self._focused and self._pages > 0

    @property
    def present(self) -> bool:
        """Whether somebody would see a question."""
        return self._answering > 0 or self._clock.monotonic() < self._seen_until

    def seen(self) -> None:
        """Note that somebody looks now."""
        self._seen_until = self._clock.monotonic() + ATTENTION_SECONDS

    def follow(self, tell: Callable[[], None]) -> None:
        """Let a part of this process hear of changes for good; it is nobody who could answer."""
        with self._lock:
            self._followers = (*self._followers, tell)

    def focus(self, *, focused: bool) -> None:
        """Note whether the operator works in the page now."""
        self._focused = focused

    def changed(self) -> None:
        """Tell those who listen that something may have changed; they must not take long."""
        self._always()
        for tell in self._followers:
            tell()
        for tell in set(self._listeners):
            tell()

    def enter(self, tell: Callable[[], None], *, answers: bool = True, page: bool = False) -> None:
        """Begin to listen; `answers` says whether a question could be put to whoever listens, `page` who it is."""
        with self._lock:
            self._answering += answers
            self._pages += page
            self._listeners = (*self._listeners, tell)

    def leave(self, tell: Callable[[], None], *, answers: bool = True, page: bool = False) -> None:
        """Listen once less, as it was begun; whoever it was may come back in a moment."""
        with self._lock:
            self._answering -= answers
            self._pages -= page
            at = self._listeners.index(tell)
            self._listeners = self._listeners[:at] + self._listeners[at + 1 :]
        if answers:
            self.seen()

"""The contract with the operating system: which events it announces, and what it is asked to inhibit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

WHO: Final = "ExLab-Wizard"
WHY: Final = "runs are on their way to the NAS"


@dataclass(frozen=True, slots=True)
class Inhibited:
    """What the system is asked to inhibit."""

    shutdown: bool = False
    """A shutdown, for the few seconds in which a quit drains or checkpoints."""
    sleep: bool = False
    """Automatic sleep, for as long as bytes move."""


NOTHING: Final = Inhibited()


@dataclass(frozen=True, slots=True)
class SessionCallbacks:
    """What is called at an event; each returns at once, from any thread."""

    session_ends: Callable[[], None]
    woke: Callable[[], None]


class SessionHost(Protocol):
    """The part of the operating system that announces events."""

    needed_when_idle: bool
    """Whether it must run while nothing is in flight, because no signal comes instead."""

    def run(self, callbacks: SessionCallbacks) -> None:
        """Listen until `stop`, in the calling thread.

        Raises:
            ExlabError: there is nothing to listen to, or it has gone away.
        """

    def inhibit(self, wanted: Inhibited) -> None:
        """Inhibit exactly this from now on. Returns at once, from any thread, also before `run`."""

    def stop(self) -> None:
        """Let `run` return, and inhibit nothing. From any thread."""

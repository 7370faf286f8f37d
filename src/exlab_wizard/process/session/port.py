"""The contract with the operating system: which events it announces, and what it can be asked to delay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from exlab_wizard.errors import ExlabError

WHO: Final = "ExLab-Wizard"
WHY: Final = "runs are on their way to the NAS"


class SessionUnheardError(ExlabError):
    """This system does not tell when a session ends, or not us."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the system is asked to hold back."""

    shutdown: bool = False
    """A shutdown, for the few seconds in which a quit drains or checkpoints."""
    sleep: bool = False
    """Sleep that nobody asked for, for as long as bytes move."""


NOTHING: Final = Held()


@dataclass(frozen=True, slots=True)
class Heard:
    """What becomes of the news; each returns at once, from any thread."""

    session_ends: Callable[[], None]
    woke: Callable[[], None]


class SessionHost(Protocol):
    """The part of the operating system that knows."""

    needed_when_idle: bool
    """Whether it must be listened to when nothing is in flight, because no signal comes instead."""

    def run(self, heard: Heard) -> None:
        """Listen until `stop`, in the calling thread.

        Raises:
            SessionUnheardError: there is nothing to listen to, or it has gone away.
        """

    def hold(self, held: Held) -> None:
        """Hold back exactly this from now on. Returns at once, from any thread, also before `run`."""

    def stop(self) -> None:
        """Let `run` return, and hold nothing back any more. From any thread."""

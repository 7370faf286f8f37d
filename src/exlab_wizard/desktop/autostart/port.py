"""The contract with each system: what an entry holds, and the place where it is read at log-in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from exlab_wizard.errors import ExlabError

NAME: Final = "exlab-wizard"
TITLE: Final = "ExLab-Wizard"
ABOUT: Final = "Brings the runs of instruments to the NAS"


class AutostartError(ExlabError):
    """The entry cannot be written, or cannot hold what it should; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What is started at log-in. `stop_s` is how long its end may take before the system may kill it."""

    command: Sequence[str]
    state_dir: str
    stop_s: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands in a place now: the whole text, and what it starts for which state dir."""

    text: str
    program: str
    state_dir: str
    disabled: bool = False
    """The operator switched it off with a tool of the system."""


class Place(Protocol):
    """Where the system looks at log-in."""

    kind: str

    @property
    def where(self) -> str:
        """The file, or what stands for one."""

    def text(self, launch: Launch) -> str:
        """Return what should stand there.

        Raises:
            AutostartError: this place cannot hold it.
        """

    def read(self) -> Entry | None:
        """Return what stands there; None for nothing.

        Raises:
            OSError: it cannot be read.
        """

    def write(self, text: str) -> None:
        """Let it stand there, and count.

        Raises:
            OSError: it cannot be written.
        """

    def remove(self) -> None:
        """Let nothing stand there.

        Raises:
            OSError: it cannot be removed.
        """

"""The contract with each system: what an entry contains, and the place where the system reads it at login."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from exlab_wizard.durable import make_folder, replace_file
from exlab_wizard.errors import ExlabError

NAME: Final = "exlab-wizard"
TITLE: Final = "ExLab-Wizard"
ABOUT: Final = "Copies instrument runs to the NAS"


class AutostartError(ExlabError):
    """The entry cannot be written, or cannot contain what it should; the message says what to do."""


@dataclass(frozen=True, slots=True)
class LoginCommand:
    """What the system starts at login. `stop_s` is how long its end may take before the system may kill it."""

    command: Sequence[str]
    state_dir: str
    stop_s: int


@dataclass(frozen=True, slots=True)
class Entry:
    """The entry in a place: its whole text, the program that it starts, and for which state dir."""

    text: str
    program: str
    state_dir: str
    disabled: bool = False
    """The operator switched it off with a tool of the system."""


class AutostartPlace(Protocol):
    """Where the system looks at login."""

    kind: str
    where: str
    """The file, or the name of what serves as one."""

    def text(self, launch: LoginCommand) -> str:
        """Return the entry for `launch`.

        Raises:
            AutostartError: this place cannot contain it.
        """

    def read(self) -> Entry | None:
        """Return the entry that is there now.

        Raises:
            OSError: it cannot be read.
        """

    def write(self, text: str) -> None:
        """Write the entry and enable it.

        Raises:
            OSError: it cannot be written.
        """

    def remove(self) -> None:
        """Remove the entry; what it started keeps running.

        Raises:
            OSError: it cannot be removed.
        """


class EntryFile:
    """The half of a place that is the same for every file."""

    def __init__(self, file: Path, mode: int | None = None) -> None:
        self._file, self._mode = file, mode
        self.where = str(file)

    def write(self, text: str) -> None:
        """Write the file, durably."""
        make_folder(self._file.parent)
        replace_file(self._file, text.encode("utf-8", "surrogateescape"), self._mode)

    def remove(self) -> None:
        """Remove the file."""
        self._file.unlink(missing_ok=True)

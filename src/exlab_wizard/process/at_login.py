"""Whether the application starts when somebody logs in, as the page sees and switches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LoginStart:
    """How it stands; `other` is the state dir of another application that is started in the place of this one."""

    on: bool
    other: str | None = None


class AtLogin(Protocol):
    """The start at log-in."""

    def standing(self) -> LoginStart:
        """Return how it stands.

        Raises:
            ExlabError: it cannot be told.
        """

    def switch(self, *, on: bool) -> None:
        """Let this application start at log-in, or nothing.

        Raises:
            ExlabError: it cannot be changed; the message says what to do.
        """

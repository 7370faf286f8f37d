"""The lifecycle that every part of the running application keeps."""

from __future__ import annotations

from typing import Protocol


class Service(Protocol):
    """Something with threads of its own."""

    def start(self) -> None:
        """Begin; returns when it is at work."""

    def stop(self) -> None:
        """End; returns only when no thread of it is left. Harmless before `start` and the second time."""

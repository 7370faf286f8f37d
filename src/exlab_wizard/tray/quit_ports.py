"""What the quit coordinator works with. The type checker sees every collaborator; none is optional."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from exlab_wizard.domain.quit import Blocker, DrainCount, QuitAnswer, QuitOutcome, QuitStatus
from exlab_wizard.process.supervisor import Service
from exlab_wizard.process.window_request import NoWindowError, Shown

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class DrainPredicate(Protocol):
    """Whether anything is in flight or leased, as the database says."""

    def count(self) -> DrainCount:
        """Return both counts from one snapshot.

        Raises:
            PredicateUnreadableError: it is unknown. Never to be taken as idle.
        """

    def blockers(self) -> list[Blocker]:
        """Return what is counted.

        Raises:
            PredicateUnreadableError: it is unknown.
        """


class DrainGate(Protocol):
    """The durable side of a quit: closes the gate for new work and keeps the record."""

    def close(self) -> None:
        """Let nothing be claimed or opened from now on."""

    def open(self) -> None:
        """Let work begin again."""

    def begun(self, window_s: float, count: DrainCount | None) -> None:
        """Record what the quit found when it began."""

    def asked(self) -> None:
        """Record that the question stands."""

    def waited(self) -> None:
        """Record that the answer was to wait."""

    def decided(self, outcome: QuitOutcome) -> None:
        """Record how the quit ended."""


class WorkerControl(Protocol):
    """The worker pool as a quit sees it."""

    def wake(self) -> None:
        """Look for work now."""

    def force(self, reason: str, grace_s: float) -> int:
        """Stop transfers, mark their rows resumable, return how many did not react within `grace_s`."""

    def stop(self) -> None:
        """End the workers."""


class Question(Protocol):
    """A surface on which the operator can be asked."""

    def available(self) -> bool:
        """Whether somebody could see the question now."""

    async def ask(self, standing: Callable[[], QuitStatus]) -> QuitAnswer:
        """Show the question, keep it up to date, and return the answer; cancelling withdraws it."""


class ServedApplication(Protocol):
    """An ASGI application that the server runner serves."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """QuitAnswer one request."""

    def login_path(self, page: str) -> str:
        """Return a path that lets a browser in once, and leads to `page`."""

    def malformed(self) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """Return body and headers of the answer, status 400, to what is not HTTP."""

    async def farewell(self) -> None:
        """Tell the event streams that the application has quit; returns within a moment."""

    def close(self) -> None:
        """End the event streams and let go of all threads; for the event loop's thread."""


class ServerRunner(Protocol):
    """The HTTP server of this process."""

    def stop(self) -> None:
        """End it; open event streams are closed, never waited for."""


class WindowLauncher(Service, Protocol):
    """The application's window; as a service, `start` opens it where that is wanted."""

    on_closed: Callable[[], None]
    """Called, from a thread of the window's, when the operator has closed it."""

    @property
    def alive(self) -> bool:
        """Whether the operator has it open."""

    def open(self, page: str = "/") -> None:
        """Open it or bring it to the front. Returns at once; what goes wrong is logged."""

    def show(self, page: str) -> Shown:
        """Do the same, wait for it, and return what was done.

        Raises:
            NoWindowError: there is none to be had.
        """

    def close(self) -> None:
        """Close it if it is open, for good."""


class NoServer:
    """A process that runs no HTTP server."""

    def stop(self) -> None:
        """There is nothing to end."""


class NoWindow:
    """A process that has no window: headless."""

    def __init__(self) -> None:
        """Be closed."""
        self.on_closed: Callable[[], None] = lambda: None

    def start(self) -> None:
        """There is nothing to open."""

    def stop(self) -> None:
        """There is nothing to close."""

    @property
    def alive(self) -> bool:
        """Never."""
        return False

    def open(self, page: str = "/") -> None:
        """Do nothing: nobody is there."""

    def show(self, page: str) -> Shown:  # noqa: ARG002 - no page is shown
        """Refuse.

        Raises:
            NoWindowError: always.
        """
        msg = "the application runs headless: it has no desktop to open a window on"
        raise NoWindowError(msg)

    def close(self) -> None:
        """There is nothing to close."""

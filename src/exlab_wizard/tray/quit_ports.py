"""The collaborators of `QuitCoordinator`: its published signature. The type checker sees each; none is optional."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from exlab_wizard.domain.quit import Blocker, DrainCount, QuitAnswer, QuitOutcome, QuitStatus
from exlab_wizard.process.supervisor import Service
from exlab_wizard.process.window_request import NoWindowError, WindowShown

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class DrainPredicate(Protocol):
    """Whether anything is in flight or leased, as the database says."""

    def count(self) -> DrainCount:
        """Return both counts from one snapshot.

        Raises:
            PredicateUnreadableError: it is unknown. Never treat this as idle.
        """

    def blockers(self) -> list[Blocker]:
        """Return the operations behind the counts.

        Raises:
            PredicateUnreadableError: they are unknown.
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
        """Record that the operator is being asked."""

    def waited(self) -> None:
        """Record that the answer was to wait."""

    def decided(self, outcome: QuitOutcome) -> None:
        """Record how the quit ended."""


class WorkerControl(Protocol):
    """The worker pool as a quit sees it."""

    def wake(self) -> None:
        """Claim work now."""

    def force(self, reason: str, grace_s: float) -> int:
        """Stop transfers, mark their rows resumable, return how many did not stop within `grace_s` seconds."""

    def stop(self) -> None:
        """End the workers."""


class QuitPrompt(Protocol):
    """One way to ask the operator what to do when the drain takes longer than its window."""

    def available(self) -> bool:
        """Whether the operator could see the question now."""

    async def ask(self, status: Callable[[], QuitStatus]) -> QuitAnswer:
        """Show the question, keep it up to date with `status`, and return the answer; cancelling withdraws it."""


class Stoppable(Protocol):
    """The HTTP server as a quit sees it."""

    def stop(self) -> None:
        """End it; open event streams are closed, never waited for."""


class Window(Service, Protocol):
    """The application's window; as a service, `start` opens it if it is to open at launch."""

    @property
    def alive(self) -> bool:
        """Whether the operator has it open."""

    def open(self, page: str = "/") -> None:
        """Open it or bring it to the front. Returns at once; failures are logged."""

    def show(self, page: str) -> WindowShown:
        """Do the same, wait for it, and return what was done.

        Raises:
            NoWindowError: no window can be opened here.
        """

    def close(self) -> None:
        """Close it if it is open, for good."""


class ServedApplication(Protocol):
    """An ASGI application that the server runner serves."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

    def login_path(self, page: str) -> str:
        """Return a path that lets a browser in once, and leads to `page`."""

    def malformed(self) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """Return body and headers of the answer, status 400, to a request that is not HTTP."""

    async def farewell(self) -> None:
        """Tell the event streams that the application has quit; returns within a moment."""

    def close(self) -> None:
        """End the event streams and release all threads; for the event loop's thread."""


class NoWindow:
    """The window of a headless process: there is none."""

    alive = False

    def start(self) -> None:
        """Do nothing."""

    stop = close = start

    def open(self, page: str = "/") -> None:
        """Do nothing."""

    def show(self, page: str) -> WindowShown:  # noqa: ARG002 - no page is shown
        """Refuse.

        Raises:
            NoWindowError: always.
        """
        raise NoWindowError("exlab-wizard runs headless and has no desktop to open a window on")

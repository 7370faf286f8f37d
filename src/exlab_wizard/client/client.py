"""The application's API as methods: sessions, jobs, drain, quit, health. Each call ends within a timeout."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final, Literal, Self
from urllib.parse import urlencode

from exlab_wizard.client.errors import RunToSync, detect_not_running
from exlab_wizard.client.events import Event, listen
from exlab_wizard.client.http import Answer, Document, Transport
from exlab_wizard.client.queue_runs import Queued, is_utf8, queue_run
from exlab_wizard.client.session import Session, SessionRequest
from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.views import (
    Drain,
    Health,
    Job,
    JobEvent,
    JobEventPage,
    JobPage,
    SessionPage,
    SessionRow,
    Status,
)
from exlab_wizard.errors import UsageError
from exlab_wizard.paths import StateDir, default_state_dir, printable

PAGE: Final = 50
_LONGEST_PAGE: Final = 1_000


class Client:
    """The running application of one state dir. Thread-safe; a forked child may continue to use it.

    Nothing is read or connected before the first call, so it can be made while nothing runs. Methods raise
    `NotRunningError` where no application runs, `UnreachableError` where it does not answer, and `AnswerError` where it
    refuses.
    """

    def __init__(self, state_dir: StateDir, transport: Transport | None = None) -> None:
        self._state_dir = state_dir
        self._transport = transport or Transport(state_dir)

    @classmethod
    def at(cls, state_dir: str | os.PathLike[str] | None = None) -> Self:
        """Return a client for the application of `state_dir`, else of `EXLAB_STATE_DIR`, else of the user's own.

        The application need not run yet.
        """
        root = default_state_dir() if state_dir is None else Path(state_dir).expanduser().absolute()
        return cls(StateDir(root))

    @classmethod
    def connect(cls, state_dir: str | os.PathLike[str] | None = None) -> Self:
        """Return a client whose application has just answered; see `at` for which one that is."""
        client = cls.at(state_dir)
        client.url()
        return client

    def close(self) -> None:
        """Close this thread's connection. Those of other threads close when they end."""
        self._transport.release()

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def url(self) -> str:
        """Return the server's address after the server has proved that it is ours; each launch has another one."""
        with detect_not_running(self._state_dir):
            return self._transport.address().url

    def call(self, method: str, path: str, body: Document | None = None, *, repeat: bool = True) -> Document:
        """Send a request that has no method here; `path` begins after `/api/v1`.

        `repeat` says whether it may be sent twice when the connection is lost.
        """
        with detect_not_running(self._state_dir):
            return self._transport.call(method, path, body, repeat=repeat).document

    def _get(self, path: str) -> Answer:
        with detect_not_running(self._state_dir):
            return self._transport.call("GET", path)

    def health(self) -> Health:
        """Return the status of each component."""
        return self._get("/health").read(Health)

    def session(  # noqa: PLR0913 - one parameter for each field of the lease
        self,
        *,
        kind: Literal["run", "project"],
        label: str,
        operator: str | None = None,
        equipment_id: str | None = None,
        run_path: str | os.PathLike[str] | None = None,
        ttl_s: float | None = None,
        must_open: bool = True,
        on_quit: Callable[[Session], None] | None = None,
    ) -> Session:
        """Return a session for a `with` block: work that a quit waits for, and runs that are queued at its end.

        With `must_open` False the block is entered whether or not the application answers. `on_quit` is called, from
        the thread of the heartbeats, when a quit begins to wait for the session.
        """
        path = None if run_path is None else printable(os.path.abspath(run_path))  # noqa: PTH100 - as `Session.add_run`
        work = SessionRequest(kind, label, operator, equipment_id, path, ttl_s)
        return Session(self._transport, self._state_dir, work, must_open=must_open, on_quit=on_quit)

    def sessions(self, *, limit: int = PAGE) -> list[SessionRow]:
        """Return sessions, the newest first."""
        return self._get(f"/sessions?limit={limit}").read(SessionPage).sessions

    def enqueue(
        self, run_path: str | os.PathLike[str], destination: str, *, priority: int = 0, equipment_id: str | None = None
    ) -> Queued:
        """Queue a run, or find its pending job. When this returns, the job is durable."""
        run = RunToSync(os.path.abspath(run_path), destination)  # noqa: PTH100 - as `Session.add_run`
        if not is_utf8(run.path):
            msg = f"JSON cannot represent the run's name {run.path!r}: it is not UTF-8. Use: exlab-wizard sync PATH"
            raise UsageError(msg)
        with detect_not_running(self._state_dir):
            return queue_run(self._transport, run, priority=priority, equipment_id=equipment_id)

    def jobs(self, *, state: JobState | None = None, limit: int = PAGE, before: int | None = None) -> list[Job]:
        """Return jobs, the newest first; `before` an id, the next page."""
        asked = {"state": state, "limit": limit, "before": before}
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        return self._get(f"/jobs?{query}").read(JobPage).jobs

    def job(self, job_id: int) -> Job:
        """Return one job."""
        return self._get(f"/jobs/{job_id}").read(Job)

    def job_events(self, job_id: int) -> list[JobEvent]:
        """Return everything that happened to a job, the oldest first."""
        events: list[JobEvent] = []
        path = f"/jobs/{job_id}/events?limit={_LONGEST_PAGE}"
        page = self._get(path).read(JobEventPage)
        while page.next is not None:
            events += page.events
            page = self._get(f"{path}&before={page.next}").read(JobEventPage)
        return [*events, *page.events][::-1]

    def retry(self, job_id: int) -> None:
        """Queue a failed job again, with fresh budgets."""
        self.call("POST", f"/jobs/{job_id}/retry", repeat=False)

    def cancel(self, job_id: int) -> None:
        """Cancel a job that is not finished; a running copy stops within a second."""
        self.call("POST", f"/jobs/{job_id}/cancel", repeat=False)

    def standing(self) -> Status:
        """Return what runs, waits and failed."""
        return self._get("/status").read(Status)

    def drain(self) -> Drain:
        """Return what a quit would wait for, and how far it is if one is under way."""
        return self._get("/drain").read(Drain)

    def pause(self) -> None:
        """Pause syncing until `resume`, or until the next launch; running copies stop within a second."""
        self.call("POST", "/pause")

    def resume(self) -> None:
        """End the pause; interrupted copies resume where they stopped."""
        self.call("POST", "/resume")

    def quit(self, *, force: bool = False) -> None:
        """Request a quit; the application answers immediately and then drains."""
        self.call("POST", "/quit", {"force": force}, repeat=False)

    def answer(self, answer: Literal["force", "wait", "keep_running"]) -> None:
        """Answer the quit question."""
        self.call("POST", "/quit/answer", {"answer": answer}, repeat=False)

    def events(
        self, *, after: str | None = None, patience_s: float = 10.0, answers: bool = False
    ) -> Generator[Event, None, None]:
        """Yield events, from now on or after the event `after`, across restarts of the application.

        An event of kind `resync` means that some were missed: refresh what you display. The generator ends, with
        NotRunningError or UnreachableError, when the application is unreachable for longer than `patience_s`. With
        `answers`, a quit asks its question to this listener and waits for `answer`.
        """
        with detect_not_running(self._state_dir):
            yield from listen(self._transport, after, patience_s, answers=answers)

"""A session: foreground work that a quit waits for; a thread sends its heartbeats.

It survives restarts of the application and lost connections, and opens a new lease when the old one has expired. A
problem is logged once and available as `trouble`; it never interrupts the work. When the block ends, its runs are
queued, whatever happened to the lease; when it raises, none is.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final, Self

from exlab_wizard.client.errors import AnswerError, RunsNotQueuedError, RunToSync, UnreachableError, detect_not_running
from exlab_wizard.client.http import Transport
from exlab_wizard.client.queue_runs import Handover
from exlab_wizard.domain.views import Lease, LeaseState
from exlab_wizard.errors import ExlabError
from exlab_wizard.paths import StateDir

log = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 1.0
"""Until an unanswered heartbeat is sent again; the application may just be starting."""
ABORT_SECONDS: Final = 3.0
"""How long the end of a failed block may take; its own exception matters more."""
_SESSION_OVER: Final = (404, 409)
HEARTBEAT_SECONDS: Final = 10.0
"""How long a heartbeat may take; a write waits no longer for another program that holds the database."""


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """What a session protects: `kind` is `run` or `project`, `label` is what people read."""

    kind: str
    label: str
    operator: str | None = None
    equipment_id: str | None = None
    run_path: str | None = None
    ttl_s: float | None = None


class Session:
    """One piece of foreground work, for one `with` block. Its methods may be called from any thread.

    In a forked child it does nothing: it belongs to the process that opened it. Nothing is sent before the block is
    entered; with `must_open` False that happens even if the application is away or shutting down, and the session opens
    as soon as it can. `on_quit` is called, from the thread of the heartbeats, when a quit begins to wait.
    """

    def __init__(
        self,
        transport: Transport,
        state_dir: StateDir,
        work: SessionRequest,
        *,
        must_open: bool = True,
        on_quit: Callable[[Session], None] | None = None,
    ) -> None:
        self._transport = transport
        self._state_dir = state_dir
        self._request = work
        self._must_open = must_open
        self._on_quit = on_quit
        self._id = os.urandom(16).hex()
        self._was_asked = False
        """Whether the application may know this id, even where its answer never came."""
        self._pid = os.getpid()
        self._beating = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, name="session-heartbeat", daemon=True)
        self._runs: list[RunToSync] = []
        self._lease: Lease | None = None
        self._trouble: Exception | None = None
        self._jobs: list[int] = []

    @property
    def id(self) -> str:
        """The session's id; another one after it expired and was opened anew."""
        return self._id

    @property
    def lease(self) -> Lease | None:
        """The session as the application answered last; None while it is not open."""
        return self._lease

    @property
    def quit_waiting(self) -> bool:
        """Whether a quit of the application waits for this session."""
        return self._lease is not None and self._lease.shutting_down

    @property
    def deadline(self) -> datetime | None:
        """When the window of the waiting quit ends, where that is known."""
        return None if self._lease is None else self._lease.deadline

    @property
    def trouble(self) -> Exception | None:
        """Why the last heartbeat failed; None while all is well."""
        return self._trouble

    @property
    def jobs(self) -> list[int]:
        """The jobs of the runs, in their order, once the block was left and all are queued."""
        return list(self._jobs)

    def add_run(self, path: str | os.PathLike[str], destination: str) -> None:
        """Let a run be queued for `destination` when the block is left without an exception."""
        # Not resolve(): a run that is reached through a link keeps the name it was given.
        self._runs.append(RunToSync(os.path.abspath(path), destination))  # noqa: PTH100 - it also takes out ".."

    def renew(self) -> None:
        """Send a heartbeat now, or open the session if it is not open, and keep the answer as `lease`.

        Raises:
            UnreachableError: no answer; the thread keeps trying.
            AnswerError: the application is shutting down and opens no session.
        """
        with self._beating:
            if self._over.is_set() or os.getpid() != self._pid:
                return
            was_waiting = self.quit_waiting
            self._lease = self._renewed()
        if self.quit_waiting and not was_waiting:
            log.info("a quit of exlab-wizard waits for the session %s", self._request.label)
            if self._on_quit is not None:
                self._on_quit(self)

    def complete(self) -> list[int]:
        """End the session and queue its runs; return their jobs, durable. Leaving the block does this automatically.

        Raises:
            RunsNotQueuedError: some runs could not be queued; the text says how to queue them.
        """
        if self._end():
            session_id, runs = self._id if self._was_asked else None, list(dict.fromkeys(self._runs))
            handover = Handover(self._transport, self._state_dir, session_id, self._request.equipment_id, runs)
            try:
                self._jobs = handover.finish()
            except RunsNotQueuedError:
                self._close_without_result()
                raise
        return self.jobs

    def abort(self) -> None:
        """End the session without queueing anything. If the application does not answer, the lease expires."""
        if self._end():
            self._close_without_result()

    def _close_without_result(self) -> None:
        if not self._was_asked:
            return
        try:
            self._transport.call("POST", f"/sessions/{self._id}/abort", answer_s=ABORT_SECONDS)
        except ExlabError as error:
            if self._lease is None:
                return  # most likely it was never opened
            until = f"{self._lease.expires_at:%H:%M:%S} UTC"
            log.warning("could not close the session %s; it expires at %s: %s", self._request.label, until, error)

    def _end(self) -> bool:
        """Send no heartbeat from now on: it could find the session closed and open another. False: it had ended."""
        with self._beating:
            if self._over.is_set():
                return False
            self._over.set()
        return True

    def _renewed(self) -> Lease:
        if self._lease is not None:
            try:
                path = f"/sessions/{self._id}/heartbeat"
                return self._transport.call("POST", path, answer_s=HEARTBEAT_SECONDS).read(Lease)
            except AnswerError as error:
                if error.status not in _SESSION_OVER:
                    raise
                # Expired without a heartbeat, or closed by another program: the rest of the work gets a new one.
                log.warning("the session %s ended during its work: %s Opening a new one.", self._request.label, error)
                self._lease = None
                self._id = os.urandom(16).hex()
        self._was_asked = True
        # With an id of ours, it can be sent again after a lost answer.
        body = {"id": self._id, **asdict(self._request)}
        lease = self._transport.call("POST", "/sessions", body, answer_s=HEARTBEAT_SECONDS).read(Lease)
        if lease.state is not LeaseState.ACTIVE:
            self._id = os.urandom(16).hex()
            msg = f"the session is already {lease.state}; the next heartbeat opens a new one"
            raise UnreachableError(msg)
        return lease

    def _keep_alive(self) -> None:
        while not self._over.wait(self._pause()):
            self._beat()
        self._transport.release()

    def _pause(self) -> float:
        wanted = None if self._lease is None or self._trouble is not None else self._lease.heartbeat_s
        return AGAIN_SECONDS if wanted is None else wanted

    def _beat(self) -> None:
        try:
            self.renew()
        except Exception as error:  # boundary: the work inside must not end because its heartbeats cannot be sent
            if str(error) != str(self._trouble):
                label, trace = self._request.label, None if isinstance(error, ExlabError) else error
                log.warning("could not send a heartbeat for the session %s: %s", label, error, exc_info=trace)
            self._trouble = error
        else:
            self._trouble = None

    def __enter__(self) -> Self:
        """Open the session and begin to keep it alive.

        Raises:
            NotRunningError: the application does not run.
            UnreachableError: it runs, but its server does not answer.
            AnswerError: it is shutting down, or refuses the session.
        """
        if self._must_open:
            with detect_not_running(self._state_dir):
                self.renew()
        else:
            self._beat()
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """End it: with its runs queued, or aborted when the block raised.

        Raises:
            RunsNotQueuedError: some runs could not be queued; the text says how to queue them.
        """
        if os.getpid() != self._pid:
            return
        if error is None:
            self.complete()
        else:
            self.abort()

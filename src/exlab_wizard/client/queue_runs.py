"""Queues the runs of a session that ended, in the first of three ways that works.

With the session while it is active; as separate jobs after that; directly in the database if the application does not
answer. Each way finds a run that is queued already, so trying several queues nothing twice. If none works within the
timeout, the error names each run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from exlab_wizard.client.errors import AnswerError, RunsNotQueuedError, RunToSync, UnreachableError
from exlab_wizard.client.http import Transport
from exlab_wizard.domain.views import ClosedSession, Job
from exlab_wizard.errors import ExlabError
from exlab_wizard.paths import StateDir, printable

TIMEOUT_SECONDS: Final = 30.0
_CREATED: Final = 201
_PAUSE_SECONDS: Final = 0.5
_ANSWER_SECONDS: Final = 5.0
"""Short, since the database is the next way, and taking both queues nothing twice."""


@dataclass(frozen=True, slots=True)
class Queued:
    """A run that is queued: its job, and whether the job is new or was pending already."""

    job_id: int
    created: bool


@dataclass(frozen=True, slots=True)
class Handover:
    """Runs of one session on their way into the queue; `session_id` is None where no session could be opened."""

    transport: Transport
    state_dir: StateDir
    session_id: str | None
    equipment_id: str | None
    runs: Sequence[RunToSync]

    def finish(self, timeout_s: float = TIMEOUT_SECONDS) -> list[int]:
        """Return the jobs of the runs, in their order, once all are durable.

        Raises:
            RunsNotQueuedError: some are not: the application refused them, or no way was open for `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return self._through_the_server()
            except (UnreachableError, AnswerError) as error:
                if isinstance(error, AnswerError) and not error.is_fault:
                    raise
                away = str(error)
            from exlab_wizard.client.direct import complete  # noqa: PLC0415 - SQLAlchemy, as nothing else is left

            try:
                return complete(self.state_dir, self.session_id, self.equipment_id, self.runs)
            except ExlabError as error:
                if time.monotonic() >= deadline:
                    raise RunsNotQueuedError(self.runs, [away, str(error)]) from error
            threading.Event().wait(_PAUSE_SECONDS)

    def _through_the_server(self) -> list[int]:
        if not all(is_utf8(run.path) for run in self.runs):
            raise UnreachableError("a name is not valid UTF-8, which JSON cannot represent")
        if self.session_id is not None:
            path, runs = f"/sessions/{self.session_id}/complete", [asdict(run) for run in self.runs]
            try:
                answer = self.transport.call("POST", path, {"runs": runs}, answer_s=_ANSWER_SECONDS)
                return answer.read(ClosedSession).jobs
            except AnswerError as error:
                if error.is_fault:
                    raise
        return self._one_by_one()

    def _one_by_one(self) -> list[int]:
        """Queue each run as a job of its own; one that is refused keeps none of the others back."""
        jobs: list[int] = []
        refused: dict[RunToSync, str] = {}
        for run in self.runs:
            try:
                queued = queue_run(self.transport, run, equipment_id=self.equipment_id, answer_s=_ANSWER_SECONDS)
                jobs.append(queued.job_id)
            except AnswerError as error:
                if error.is_fault:
                    raise
                refused[run] = str(error)
        if refused:
            raise RunsNotQueuedError([*refused], [*refused.values()])
        return jobs


def is_utf8(path: str) -> bool:
    """Return whether JSON can carry the path: a name on a disk may hold any bytes."""
    return printable(path) == path


def queue_run(
    transport: Transport,
    run: RunToSync,
    *,
    priority: int = 0,
    equipment_id: str | None = None,
    answer_s: float | None = None,
) -> Queued:
    """Queue a run, or find it where it is pending already; the answer is durable.

    Raises:
        UnreachableError: no answer.
        AnswerError: the run or its destination is refused.
    """
    work = {"run_path": run.path, "destination": run.destination, "equipment_id": equipment_id, "priority": priority}
    answer = transport.call("POST", "/jobs", work, answer_s=answer_s)
    return Queued(answer.read(Job).id, created=answer.status == _CREATED)

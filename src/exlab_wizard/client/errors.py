"""Why a call to the application failed. Each error is one sentence with its remedy."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from exlab_wizard import errors
from exlab_wizard.domain.text.amounts import plural
from exlab_wizard.errors import ExlabError, RefusedError
from exlab_wizard.paths import StateDir

_BAD_REQUEST: Final = 400
_UNPROCESSABLE: Final = 422
_SERVER_FAULT: Final = 500
SHUTTING_DOWN: Final = "shutting_down"


class UnreachableError(ExlabError):
    """No trusted answer arrived. With `sent` the call may still have taken effect."""

    def __init__(self, message: str, *, sent: bool = False) -> None:
        super().__init__(message)
        self.sent = sent


class NotRunningError(UnreachableError, errors.ApplicationNotRunningError):
    """No process is the application of this state dir."""


class AnswerError(RefusedError):
    """The application answered with an error: `code` is for programs, the text for people, `status` is HTTP's.

    `trace_id` finds the line in the application's log.
    """

    def __init__(  # noqa: PLR0913 - the parts of the envelope
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        details: Mapping[str, object] | None = None,
        trace_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.field, self.trace_id = status, code, field, trace_id
        self.details: Mapping[str, object] = details or {}
        if self.is_fault:
            self.exit_status = 1
        elif status in (_BAD_REQUEST, _UNPROCESSABLE):
            self.exit_status = 2

    @property
    def is_fault(self) -> bool:
        """Whether the application failed, or cannot do it now, rather than refused it."""
        return self.status >= _SERVER_FAULT and self.code != SHUTTING_DOWN


@dataclass(frozen=True, slots=True)
class RunToSync:
    """A run of a session and the destination it is for; `path` is absolute."""

    path: str
    destination: str


class RunsNotQueuedError(ExlabError):
    """Some runs of a session could not be queued: `runs`; the text says how to queue them."""

    def __init__(self, runs: Sequence[RunToSync], why: Sequence[str]) -> None:
        commands = "; ".join(f"exlab-wizard sync --to {run.destination} {shlex.quote(run.path)}" for run in runs)
        count = plural(len(runs), "run")
        super().__init__(f"could not queue {count} of the session: {'; '.join(why)}. Queue them: {commands}")
        self.runs = tuple(runs)


@contextlib.contextmanager
def detect_not_running(state_dir: StateDir) -> Iterator[None]:
    """Raise `NotRunningError` instead of `UnreachableError` if no process is the application.

    Not for retries in a loop: the check takes the instance lock for a moment, which a launch may need.
    """
    try:
        yield
    except UnreachableError as error:
        from exlab_wizard.process.instance_lock import is_running  # noqa: PLC0415 - needed only without an answer

        if error.sent or is_running(state_dir):
            raise
        msg = f"not running for the state dir {str(state_dir.root)!r}; `exlab-wizard run` starts it"
        raise NotRunningError(msg) from error

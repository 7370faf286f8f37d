"""The errors of this program, each a sentence for people: the thing, the cause, the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exlab_wizard.domain.job import ErrorKind, JobState, WaitReason


class ExlabError(Exception):
    """Anything that this program reports in one line. `exit_status` is that of the command line."""

    exit_status = 1


class UsageError(ExlabError):
    """The command's arguments are invalid."""

    exit_status = 2


class ApplicationNotRunningError(ExlabError):
    """The command needs a running application."""

    exit_status = 3


class RefusedError(ExlabError):
    """The current state forbids the request; nothing was changed."""

    exit_status = 4


class NoSuchJobError(UsageError):
    """No job has this id."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"there is no job {job_id}; `exlab-wizard jobs` lists them")


class MoveRefusedError(RefusedError):
    """A job in `state` cannot be retried, or cancelled; nothing was changed."""

    def __init__(self, state: JobState, message: str) -> None:
        self.state = state
        super().__init__(message)


class SettingsError(ExlabError):
    """`config.toml` cannot be used; one line for each error."""

    exit_status = 2


class StoreError(ExlabError):
    """The database cannot be read or written now."""


class RuleError(StoreError):
    """The database rejects the change: a CHECK, a trigger or a unique index. A retry does not help."""


class DamagedError(StoreError):
    """The database file is damaged or not a database. A retry does not help."""


class PredicateUnreadableError(StoreError):
    """It is unknown whether anything is in flight. Never treat it as idle."""


class ClaimLostError(ExlabError):
    """The job was cancelled, requeued or taken over during the attempt: stop and touch nothing."""


class StoppedError(ExlabError):
    """The worker was asked to stop; everything durable so far is checkpointed."""


class TransferError(ExlabError):
    """A transfer failed at `op` on `path` by `cause`. `hint` is the remedy, `kind` decides what happens next."""

    def __init__(self, op: str, path: str, hint: str, kind: ErrorKind, cause: str = "") -> None:
        self.op, self.path, self.hint, self.kind = op, path, hint, kind
        super().__init__(f"{op} {path!r}{f': {cause}' if cause else ''}. {hint}")


class TransferWaitError(ExlabError):
    """The transfer cannot continue now, through no fault of the job: it waits for `reason` to pass."""

    def __init__(self, reason: WaitReason, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(detail)

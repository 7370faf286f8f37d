"""What can go wrong, in words for the person in front of the screen: what, where, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exlab_wizard.domain.job import ErrorKind, WaitReason


class ExlabError(Exception):
    """Anything that this program reports in one line. `exit_status` is what the command line ends with."""

    exit_status = 1


class UsageError(ExlabError):
    """The words of a command cannot be meant as they stand."""

    exit_status = 2


class ApplicationNotRunningError(ExlabError):
    """The command needs a running application."""

    exit_status = 3


class RefusedError(ExlabError):
    """The state of things forbids what was asked for; nothing was changed."""

    exit_status = 4


class SettingsError(ExlabError):
    """`config.toml` cannot be used; one line for each fault."""

    exit_status = 2


class StoreError(ExlabError):
    """The database cannot be read or written now."""


class RuleError(StoreError):
    """The database refuses the change itself: a CHECK, a trigger or a unique index. Trying again does not help."""


class DamagedError(StoreError):
    """What stands in the database file is no database any more, or only in part. Trying again does not help."""


class PredicateUnreadableError(StoreError):
    """Whether anything is in flight is unknown. Never to be taken as idle."""


class ClaimLostError(ExlabError):
    """The job was cancelled, requeued or taken over while we worked on it: stop and touch nothing."""


class StoppedError(ExlabError):
    """The worker was asked to stop; everything durable so far is checkpointed."""


class TransferError(ExlabError):
    """A transfer failed at `op` on `path`. `hint` is the remedy, `kind` decides what happens next."""

    def __init__(self, op: str, path: str, hint: str, kind: ErrorKind, cause: str = "") -> None:
        """Compose the sentence from its parts; `cause` is the operating system's own word, if there is one."""
        self.op, self.path, self.hint, self.kind = op, path, hint, kind
        super().__init__(f"{op} {path!r}{f': {cause}' if cause else ''}. {hint}")


class TransferWaitError(ExlabError):
    """The transfer cannot go on now, through no fault of the job: it waits for `reason` to pass."""

    def __init__(self, reason: WaitReason, detail: str) -> None:
        """Keep what is waited for, and the sentence for the operator."""
        self.reason, self.detail = reason, detail
        super().__init__(detail)

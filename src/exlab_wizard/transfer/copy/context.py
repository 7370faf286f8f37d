"""What all parts of one attempt share: both trees, the ledger, and how to stop, slow down and fail."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Final

from exlab_wizard.domain.files import FileRecord, FileState
from exlab_wizard.domain.job import ErrorKind
from exlab_wizard.errors import TransferError
from exlab_wizard.transfer.copy.bandwidth import TokenBucket
from exlab_wizard.transfer.copy.ledger import Ledger
from exlab_wizard.transfer.failures import FailureClassifier
from exlab_wizard.transfer.files import durability
from exlab_wizard.transfer.files.tree import Tree
from exlab_wizard.transfer.ports import TransferControl
from exlab_wizard.transfer.source.manifest import SourceFile

PERMISSIONS: Final = 0o777
_OWNER: Final = 0o600
_NOT_SUPPORTED: Final = frozenset(
    {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to bring the run `source` into the incoming folder `target`.

    What touches the target raises OSError as the system does, except inside `on_target`, which classifies it.
    """

    source: Tree
    target: Tree
    ledger: Ledger
    control: TransferControl
    limiter: TokenBucket
    failures: FailureClassifier
    umask: int = field(default_factory=durability.umask)

    def on_target(self, op: str, path: str) -> AbstractContextManager[None]:
        """Classify an OSError from inside as one at `path` of the target."""
        return self.failures.target(op, f"{self.target.root}/{path}")

    def open_target(self, path: str, flags: int, mode: int) -> int:
        """Open a file of the target for writing, even when an earlier attempt had finished with its permissions."""
        try:
            return self.target.open(path, flags, (mode & PERMISSIONS) | _OWNER)
        except PermissionError:
            if not self.target.exists(path):
                raise
            self.target.chmod(path, _OWNER)
            return self.target.open(path, flags, mode)

    def dress(self, file: SourceFile) -> None:
        """Give a written file the permission bits and time of its source, where the destination knows such things."""
        bits = file.mode & PERMISSIONS
        if os.name != "nt" and (bits & self.umask or bits & _OWNER != _OWNER):
            tolerate_unsupported(self.target.chmod, file.path, bits)
        tolerate_unsupported(self.target.utime, file.path, file.mtime_ns)

    def mismatch(self, row: FileRecord) -> TransferError:
        """Forget that `row` was sent, durably, and return the error to raise.

        Raises:
            ClaimLostError: the job is no longer ours.
        """
        self.ledger.record([restarted(row)])
        hint = "The data read back differs from the data sent. If this happens again, check the NAS and the network."
        return TransferError("Cannot verify", str(self.target.root / row.path), hint, ErrorKind.HASH_MISMATCH)


def restarted(row: FileRecord) -> FileRecord:
    """Return `row` as if nothing of its file had been sent."""
    return replace(row, state=FileState.PENDING, bytes_done=0, prefix_sha256=None, sha256=None)


def tolerate_unsupported(call: Callable[[str, int], None], path: str, value: int) -> None:
    """Set permissions or a time; a file system that has no such thing is no error."""
    try:
        call(path, value)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise

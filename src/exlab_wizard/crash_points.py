"""The instants that matter when a program dies: each has a name, and the code reports when it is reached.

In production there is no listener, and `reached` costs one comparison. `exlab_wizard.testing` listens in a process that
it starts itself, and stops or kills it exactly there. No setting and no environment variable can.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Point(StrEnum):
    """A named instant; its sentence says what is done and what is not."""

    ENQUEUE_BEFORE_COMMIT = "enqueue:before_commit"
    """Runs are about to be queued, or are in a transaction that is not committed."""
    ENQUEUE_AFTER_COMMIT = "enqueue:after_commit"
    """They are durable; the caller that queued them does not know it yet."""
    CLAIM_BEFORE_COMMIT = "claim:before_commit"
    """A job is claimed, in a transaction that is not committed."""
    CLAIM_AFTER_COMMIT = "claim:after_commit"
    """The claim is durable, and no worker has begun."""
    COPY_WRITTEN = "copy:written"
    """Bytes of a segment or batch are written to the incoming folder, and not flushed."""
    COPY_FLUSHED = "copy:flushed"
    """They are durable, and their rows are not written."""
    COPY_CHECKPOINTED = "copy:checkpointed"
    """Their rows are durable too."""
    VERIFY_BEFORE_NOTED = "verify:before_noted"
    """All bytes are durable; the row still says running."""
    VERIFY_NOTED = "verify:noted"
    """The row says verifying; the last bytes are being read back."""
    RECEIPT_BEFORE_REPLACE = "receipt:before_replace"
    """The checksum list is written; the receipt is missing, or still that of the previous publication."""
    PUBLISH_BEFORE_RENAME = "publish:before_rename"
    """The incoming folder is complete, checksums and receipt included; nothing is visible."""
    PUBLISH_AFTER_RENAME = "publish:after_rename"
    """The run is visible; its parent folder is not flushed."""
    PUBLISH_DONE = "publish:done"
    """The run is visible for good; its job is still in flight."""
    MERGE_FILE_PUBLISHED = "merge:file_published"
    """One file was added to a run that was published before; others are missing, and no list names it yet."""
    MERGE_BEFORE_CLEAR = "merge:before_clear"
    """Checksums and receipt name all that was added; the incoming folder still exists."""
    FINISH_BEFORE_COMMIT = "finish:before_commit"
    """The outcome of an attempt is written in a transaction that is not committed."""
    FINISH_AFTER_COMMIT = "finish:after_commit"
    """The outcome is durable."""
    LEASE_BEFORE_COMPLETE = "lease:before_complete"
    """A session is about to be completed; it is active, and its runs are not queued."""
    LEASE_CLOSED = "lease:closed"
    """It is closed, in a transaction that is not committed; its runs are not queued."""
    LEASE_COMPLETED = "lease:completed"
    """The session is closed and all its runs are queued, durably."""
    QUIT_GATE_CLOSED = "quit:gate_closed"
    """The launch is draining: nothing is claimed from now on."""
    QUIT_BEFORE_MARKED = "quit:before_marked"
    """Forced: the transfers got a stop request; the rows of those that did not stop are still in flight."""
    QUIT_AFTER_MARKED = "quit:after_marked"
    """Forced: what was in flight is resumable, attempts given back."""
    QUIT_BEFORE_RECEIPT = "quit:before_receipt"
    """All work has stopped; the launch is still open."""
    QUIT_AFTER_RECEIPT = "quit:after_receipt"
    """The exit receipt is durable; the database is still open."""
    RECOVERY_BEFORE = "recovery:before"
    """The last launch has no exit receipt; none of its rows was touched."""
    RECOVERY_DEAD_CLOSED = "recovery:dead_closed"
    """In the transaction: the dead launch is closed, its jobs are still in flight."""
    RECOVERY_BEFORE_COMMIT = "recovery:before_commit"
    """In the transaction: everything is queued again and the new launch is inserted."""
    RECOVERY_AFTER = "recovery:after"
    """Recovery is durable; no worker runs yet."""
    MIGRATION_BEFORE = "migration:before"
    """A migration is due; its backup exists if there was anything to back up."""
    MIGRATION_BEFORE_COMMIT = "migration:before_commit"
    """The new schema exists, in a transaction that is not committed."""
    MIGRATION_AFTER = "migration:after"
    """The new schema is durable."""
    BACKUP_BEFORE_RENAME = "backup:before_rename"
    """The backup is complete and checked, under a temporary name."""
    BACKUP_AFTER_RENAME = "backup:after_rename"
    """The backup has its final name; backups beyond the last five still exist."""
    RESTORE_BEFORE_RENAME = "restore:before_rename"
    """The restored copy is complete beside the database, whose old file is kept under another name."""
    RESTORE_AFTER_RENAME = "restore:after_rename"
    """The restored copy has replaced the database."""


_listener: Callable[[Point], None] | None = None


def reached(point: Point) -> None:
    """Report that the program is at `point`; the listener, if there is one, is called in this thread."""
    if _listener is not None:
        _listener(point)


def watch(listener: Callable[[Point], None] | None) -> None:
    """Call `listener` at every point from now on; None: no listener."""
    global _listener  # noqa: PLW0603 - one comparison in hot code is all that a point may cost
    _listener = listener

"""The work that is left: the run as it is now, compared with its checkpoints and with the files on the destination.

A row counts only while its file is there with the right size.
"""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from exlab_wizard.domain.files import FileRecord, FileState
from exlab_wizard.domain.job import WaitReason
from exlab_wizard.domain.text.amounts import size
from exlab_wizard.errors import TransferWaitError
from exlab_wizard.transfer.failures import FailureClassifier
from exlab_wizard.transfer.files.tree import Tree
from exlab_wizard.transfer.source.manifest import SourceFile


@dataclass(slots=True)
class Plan:
    """`send` and `read_back` are work, `rows` is every file of the run, `put` and `drop` what the checkpoints lack."""

    send: list[SourceFile] = field(default_factory=list)
    read_back: list[FileRecord] = field(default_factory=list)
    rows: list[FileRecord] = field(default_factory=list)
    put: list[FileRecord] = field(default_factory=list)
    drop: list[str] = field(default_factory=list)


def reconcile(
    files: Iterable[SourceFile], remembered: Iterable[FileRecord], published: Mapping[str, str], incoming: Tree
) -> Plan:
    """Return the plan for `files`; `published` holds the hashes of those that are at the final path already.

    Raises:
        OSError: the destination cannot be read.
    """
    old = {row.path: row for row in remembered}
    plan = Plan()
    for file in files:
        before = old.pop(file.path, None)
        if (known := published.get(file.path)) is not None:
            row = FileRecord(file.path, file.size, file.mtime_ns, FileState.VERIFIED, file.size, None, known)
        else:
            row = _valid_row(file, before, incoming)
            if row.state is FileState.PENDING:
                plan.send.append(file)
            elif row.state is FileState.COPIED:
                plan.read_back.append(row)
        plan.rows.append(row)
        if row != before:
            plan.put.append(row)
    plan.drop = list(old)
    return plan


def check_room(plan: Plan, failures: FailureClassifier) -> None:
    """Return when the destination has room for what is left to send.

    Raises:
        TransferWaitError: it has not; both numbers are in the message.
    """
    destination = failures.destination
    with failures.target("Cannot determine the free space of", destination):
        space = shutil.disk_usage(destination)
    needed = sum(row.size - row.bytes_done for row in plan.rows if row.state is FileState.PENDING)
    if space.total and space.free < needed:  # some network file systems report zeros
        detail = (
            f"{str(destination)!r} is full: {size(needed)} are left to send, but only {size(space.free)} are free."
            " Free up space there; the job resumes automatically."
        )
        raise TransferWaitError(WaitReason.DESTINATION_FULL, detail)


def _valid_row(file: SourceFile, row: FileRecord | None, incoming: Tree) -> FileRecord:
    fresh = FileRecord(file.path, file.size, file.mtime_ns)
    if row is None or (row.size, row.mtime_ns) != (file.size, file.mtime_ns) or row.bytes_done <= 0 < row.size:
        return fresh
    there = incoming.find(file.path)
    if there is None or not stat.S_ISREG(there.st_mode):
        return fresh
    if row.state is FileState.PENDING:
        return row if row.prefix_sha256 and there.st_size >= row.bytes_done else fresh
    return row if there.st_size == row.size and row.sha256 else fresh

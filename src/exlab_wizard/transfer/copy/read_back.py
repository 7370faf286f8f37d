"""Reads back from the destination what was sent, and compares it with what was read from the source.

Cached pages are dropped first, so that the answer comes from the destination and not from this machine's memory.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from exlab_wizard.domain.files import FileRecord, FileState
from exlab_wizard.transfer.copy.context import Attempt
from exlab_wizard.transfer.copy.stage import PipelineStage
from exlab_wizard.transfer.files import durability
from exlab_wizard.transfer.files.tree import Tree
from exlab_wizard.transfer.ports import TransferControl

BUFFER: Final = 256 << 10  # stays in the processor's cache between the read and the hash


def read_hash(tree: Tree, path: str, size: int, control: TransferControl, *, cached: bool = False) -> str:
    """Return the SHA-256 of a file in hexadecimal, read from its disk or server.

    `size` is what it should have; `cached` allows this machine's memory to answer.

    Raises:
        OSError: it cannot be read.
        StoppedError: a stop was requested meanwhile.
    """
    digest = hashlib.sha256()
    control.file = path
    fd = tree.open(path, os.O_RDONLY)
    try:
        if not cached:
            durability.drop_cached(fd, 0, 0)
        while data := os.read(fd, min(BUFFER, size + 1)):
            control.check()
            digest.update(data)
            control.moved(len(data))
    finally:
        os.close(fd)
    return digest.hexdigest()


def update_from(
    update: Callable[[memoryview], object], fd: int, start: int, size: int, step: Callable[[int], bool]
) -> int:
    """Feed `size` bytes from `start` of an open file to a hash's `update`; return how many there were.

    `step` gets each piece's size and returns whether to continue.
    """
    os.lseek(fd, start, os.SEEK_SET)
    buffer = memoryview(bytearray(BUFFER))
    done = 0
    with io.FileIO(fd, closefd=False) as file:
        while done < size and (count := file.readinto(buffer[: min(BUFFER, size - done)])):
            update(buffer[:count])
            done += count
            if not step(count):
                break
    return done


class ReadBack(PipelineStage[Sequence[FileRecord]]):
    """Checks whole files, durable on the destination, behind the copy; a file that is not checked stays COPIED."""

    def __init__(self, attempt: Attempt) -> None:
        """Prepare; `check` raises TransferError, TransferWaitError, StoppedError or ClaimLostError."""
        super().__init__("read-back", self._check_batch)
        self._attempt = attempt

    def _check_batch(self, rows: Sequence[FileRecord]) -> None:
        good: list[FileRecord] = []
        try:
            for row in rows:
                self._check_one(row)
                good.append(replace(row, state=FileState.VERIFIED))
        finally:
            self._attempt.ledger.verified(good)

    def _check_one(self, row: FileRecord) -> None:
        attempt = self._attempt
        try:
            found = read_hash(attempt.target, row.path, row.size, attempt.control)
        except OSError as error:
            raise attempt.failures.of_target("Cannot read back", attempt.target.root / row.path, error) from error
        if found != row.sha256:
            raise attempt.mismatch(row)
        attempt.ledger.read_back(row.size)

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
    with tree.opened(path, os.O_RDONLY) as fd:
        if not cached:
            durability.drop_cached(fd, 0, 0)
        while data := os.read(fd, min(BUFFER, size + 1)):
            control.check()
            digest.update(data)
            control.moved(len(data))
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


def check_batch(attempt: Attempt, rows: Sequence[FileRecord]) -> None:
    """Check whole files that are durable on the destination; one that is not checked stays COPIED.

    Raises:
        TransferError: a file cannot be read, or is not what was sent.
        TransferWaitError: the destination is offline.
        StoppedError: a stop was requested.
        ClaimLostError: the job is no longer ours.
    """
    good: list[FileRecord] = []
    try:
        for row in rows:
            with attempt.on_target("Cannot read back", row.path):
                found = read_hash(attempt.target, row.path, row.size, attempt.control)
            if found != row.sha256:
                raise attempt.mismatch(row)
            attempt.ledger.read_back(row.size)
            good.append(replace(row, state=FileState.VERIFIED))
    finally:
        attempt.ledger.verified(good)

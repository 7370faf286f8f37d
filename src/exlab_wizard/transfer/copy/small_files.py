"""Sends files of up to a few MiB in batches: one flush and one checkpoint for many files.

Three steps overlap: copying a batch, making the one before durable, reading back those before that. At most two batches
are not yet durable, which bounds what is sent again after a crash to 64 MiB.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from exlab_wizard.crash_points import Point, reached
from exlab_wizard.domain.files import FileRecord, FileState
from exlab_wizard.errors import ExlabError
from exlab_wizard.transfer.copy.context import Attempt
from exlab_wizard.transfer.copy.stage import PipelineStage
from exlab_wizard.transfer.failures import changing
from exlab_wizard.transfer.files import durability
from exlab_wizard.transfer.files.durability import write_all
from exlab_wizard.transfer.source.manifest import SourceFile, is_same

SMALL: Final = 8 << 20
_BUFFER: Final = 1 << 20
_TINY: Final = 64 << 10  # below, the interpreter lock makes more threads slower
_BATCH_FILES: Final = 1000
_BATCH_BYTES: Final = (32 << 20) - SMALL
_BATCH_SECONDS: Final = 1.0
_THREADS: Final = 4


class SmallFiles:
    """Sends many small files of one attempt; the stage `read_back` gets every durable batch."""

    def __init__(self, attempt: Attempt, read_back: PipelineStage[Sequence[FileRecord]]) -> None:
        self._attempt, self._read_back = attempt, read_back
        self._at_once = attempt.target.syncs_at_once()

    def send(self, files: Iterable[SourceFile]) -> None:
        """Return when all `files` are durable on the destination and checkpointed as COPIED.

        It raises what `incoming.fill` raises. After StoppedError whole files that were sent are checkpointed.
        """
        with (
            PipelineStage("flush", self._settle, room=1) as flush,
            ThreadPoolExecutor(_THREADS, thread_name_prefix="copy") as pool,
        ):
            waiting = iter(files)
            while True:
                rows, error = self._copy_batch(waiting, pool)
                if rows:
                    flush.put(rows)
                if error is not None or not rows:
                    break
                flush.check()
                try:
                    self._read_back.check()
                except ExlabError as failed:  # what is copied is still made durable and checkpointed
                    error = failed
                    break
            flush.finish()
            if error is not None:
                raise error

    def _copy_batch(
        self, waiting: Iterator[SourceFile], pool: ThreadPoolExecutor
    ) -> tuple[list[FileRecord], ExlabError | None]:
        """Copy the next files, and return their rows and the first error; no rows and no error is the end."""
        began, size = time.monotonic(), 0
        rows: list[FileRecord] = []
        running: list[Future[FileRecord]] = []
        error: ExlabError | None = None
        try:
            while len(rows) + len(running) < _BATCH_FILES and size < _BATCH_BYTES:
                if (file := next(waiting, None)) is None:
                    break
                size += file.size
                if file.size < _TINY:
                    rows.append(self._copy(file))
                else:
                    running.append(pool.submit(self._copy, file))
                if time.monotonic() - began > _BATCH_SECONDS:
                    break
                if len(running) > _THREADS:  # an error ends the batch early, and the queue stays short
                    rows.append(running.pop(0).result())
        except ExlabError as first:
            error = first
        for future in running:
            try:
                rows.append(future.result())
            except ExlabError as other:
                error = error or other
        return rows, error

    def _copy(self, file: SourceFile) -> FileRecord:
        attempt, path, digest = self._attempt, file.path, hashlib.sha256()
        attempt.control.file = path
        with attempt.failures.source("Cannot open", path), attempt.source.opened(path, os.O_RDONLY) as source:
            with attempt.on_target("Cannot create", path):
                target = attempt.open_target(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, file.mode)
            with attempt.on_target("Cannot write", path):
                try:
                    self._pump(file, source, target, digest.update)
                finally:
                    os.close(target)
            with attempt.on_target("Cannot set the times of", path):
                attempt.dress(file)
        return FileRecord(path, file.size, file.mtime_ns, FileState.COPIED, file.size, None, digest.hexdigest())

    def _pump(self, file: SourceFile, source: int, target: int, update: Callable[[bytes], object]) -> None:
        """Copy the bytes; an OSError that gets out of here is of the target."""
        attempt, left = self._attempt, file.size
        while True:
            attempt.control.check()
            with attempt.failures.source("Cannot read", file.path):
                data = os.read(source, min(_BUFFER, left + 1)) if left else b""
                status = os.fstat(source) if left <= len(data) else None
            left -= len(data)
            if left < 0 or (left and not data) or (status and not is_same(file, status)):
                raise changing(str(attempt.source.root / file.path))
            if not data:
                return
            attempt.limiter.take(len(data), attempt.control)
            update(data)
            write_all(target, data)
            attempt.control.moved(len(data))
            if not left:
                return

    def _settle(self, rows: Sequence[FileRecord]) -> None:
        attempt = self._attempt
        reached(Point.COPY_WRITTEN)
        with attempt.on_target("Cannot flush", rows[0].path):
            if self._at_once:
                attempt.target.sync_all()
            else:
                durability.sync_each([row.path for row in rows], attempt.target.opened)
                attempt.target.sync_names(row.path for row in rows)
        attempt.failures.check_online()
        reached(Point.COPY_FLUSHED)
        attempt.ledger.record(rows)
        reached(Point.COPY_CHECKPOINTED)
        self._read_back.put(rows)

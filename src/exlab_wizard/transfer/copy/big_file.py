"""Sends one large file: read once, hashed and written at the same time, made durable and read back segment by segment.

The bytes that are hashed are the bytes that are sent. A segment's row is written only when its bytes are durable, and
the writer is never more than 64 MiB ahead of the last row. Each side is read and hashed once per attempt.
"""

from __future__ import annotations

import hashlib
import io
import os
import queue
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Final

from exlab_wizard.crash_points import Point, reached
from exlab_wizard.domain.files import FileRecord, FileState
from exlab_wizard.durable import sync_file
from exlab_wizard.errors import StoppedError
from exlab_wizard.transfer.copy.context import Attempt, restarted
from exlab_wizard.transfer.copy.read_back import BUFFER, update_from
from exlab_wizard.transfer.copy.stage import PipelineStage
from exlab_wizard.transfer.failures import changing
from exlab_wizard.transfer.files import durability
from exlab_wizard.transfer.files.durability import write_all
from exlab_wizard.transfer.source.manifest import SourceFile, is_same

_BUFFERS: Final = 16
_SEGMENT_MAX: Final = 32 << 20
_SEGMENT_MIN: Final = 1 << 20
_SEGMENT_START: Final = 8 << 20
_SEGMENT_SECONDS: Final = 1.0
_WRITE_BACK_STEP: Final = 4 << 20
_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class _Segment:
    """Bytes `start` to `end`; `prefix_sha256` is of all bytes up to `end`, None when they were durable before."""

    start: int
    end: int
    last: bool = False
    prefix_sha256: str | None = None


def send_big_file(attempt: Attempt, file: SourceFile) -> None:
    """Return when `file` is durable on the destination and was read back equal; resumes where its row ends.

    It raises what `incoming.fill` raises. After StoppedError the bytes that were sent are checkpointed.
    """
    row = attempt.ledger.rows[file.path]
    if not _Pipeline(attempt, file, row).send():
        attempt.ledger.record([restarted(row)])
        _Pipeline(attempt, file, restarted(row)).send()


class _Pipeline:
    """Four hands on one file: this thread reads and writes, one hashes, one flushes and notes, one reads back."""

    def __init__(self, attempt: Attempt, file: SourceFile, row: FileRecord) -> None:
        self._attempt, self._file, self._row = attempt, file, row
        self._start = self._sent = self._cut_at = self._durable = self._write_back_from = row.bytes_done
        self._cut_time = time.monotonic()
        self._segment_size = _SEGMENT_START
        self._sent_hash, self._back_hash = hashlib.sha256(), hashlib.sha256()
        self._back_done = 0
        self._abandoned = threading.Event()
        self._checkpointed = threading.Condition()
        self._free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
        self._hasher: PipelineStage[tuple[bytearray, int] | _Segment] = PipelineStage("hash", self._hash)
        self._flusher: PipelineStage[_Segment] = PipelineStage("flush", self._flush)
        self._reader: PipelineStage[_Segment] = PipelineStage("read-back", self._read_back)

    def send(self) -> bool:
        """Send the file from its row's position; False when what was sent before is no longer the file's beginning."""
        with ExitStack() as stack:
            self._open(stack)
            stack.enter_context(self._reader)
            stack.enter_context(self._flusher)
            stack.enter_context(self._hasher)
            stack.callback(self._abandoned.set)
            if self._start and not self._resume():
                return False
            try:
                self._pump()
            except StoppedError:
                self._cut()
                self._hasher.finish()
                self._flusher.finish()
                raise
            self._check_source()
            self._cut(last=True)
            self._hasher.finish()
            self._flusher.finish()
            self._reader.finish()
        self._attempt.control.check()
        self._compare()
        return True

    def _open(self, stack: ExitStack) -> None:
        attempt, path = self._attempt, self._file.path
        with attempt.failures.source("Cannot open", path):
            self._source = attempt.source.open(path, os.O_RDONLY)
        self._input = stack.enter_context(io.FileIO(self._source))
        fresh = 0 if self._start else os.O_TRUNC
        with attempt.on_target("Cannot create", path):
            self._target = attempt.open_target(path, os.O_WRONLY | os.O_CREAT | fresh, self._file.mode)
            stack.callback(self._close, self._target)
            self._back = attempt.target.open(path, os.O_RDONLY)
            stack.callback(self._close, self._back)

    def _close(self, descriptor: int) -> None:
        """Closing may be when a file server says that it could not keep what it took."""
        with self._attempt.on_target("Cannot write", self._file.path):
            os.close(descriptor)

    def _resume(self) -> bool:
        """Hash both sides' beginnings at the same time; the source's must be what was sent."""
        attempt, path = self._attempt, self._file.path
        self._check_source()
        self._reader.put(_Segment(0, self._start))
        with attempt.failures.source("Cannot read", path):
            done = update_from(self._sent_hash.update, self._source, 0, self._start, self._step)
        attempt.control.check()
        if done != self._start or self._sent_hash.hexdigest() != self._row.prefix_sha256:
            return False
        with attempt.on_target("Cannot write", path):
            os.ftruncate(self._target, self._start)
            os.lseek(self._target, self._start, os.SEEK_SET)
        return True

    def _step(self, count: int) -> bool:
        self._attempt.control.moved(count)
        return not (self._abandoned.is_set() or self._attempt.control.stop_requested)

    def _pump(self) -> None:
        attempt, file = self._attempt, self._file
        for _ in range(_BUFFERS):
            self._free.put(bytearray(BUFFER))
        while self._sent < file.size:
            attempt.control.check()
            buffer = self._take_buffer()
            with attempt.failures.source("Cannot read", file.path):
                count = self._input.readinto(memoryview(buffer)[: file.size - self._sent])
            if not count:
                raise changing(str(attempt.source.root / file.path))
            self._await_room(count)
            attempt.limiter.take(count, attempt.control)
            self._hasher.put((buffer, count))
            self._write(memoryview(buffer)[:count])
            if self._sent - self._cut_at >= self._segment_size or time.monotonic() - self._cut_time > _SEGMENT_SECONDS:
                self._check_source()
                if self._sent < file.size:
                    self._cut()

    def _take_buffer(self) -> bytearray:
        while True:
            try:
                return self._free.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                self._hasher.check()

    def _await_room(self, count: int) -> None:
        self._flusher.check()
        self._reader.check()
        with self._checkpointed:
            while self._sent + count - self._durable > 2 * self._segment_size:
                self._checkpointed.wait(_POLL_SECONDS)
                self._attempt.control.check()
                self._flusher.check()
                self._hasher.check()

    def _write(self, data: memoryview) -> None:
        with self._attempt.on_target("Cannot write", self._file.path):
            write_all(self._target, data)
        self._sent += len(data)
        self._attempt.control.file = self._file.path
        self._attempt.control.moved(len(data))
        if self._sent - self._write_back_from >= _WRITE_BACK_STEP:
            durability.start_write_back(self._target, self._write_back_from, self._sent - self._write_back_from)
            self._write_back_from = self._sent

    def _check_source(self) -> None:
        attempt, path = self._attempt, self._file.path
        with attempt.failures.source("Cannot read", path):
            status = os.fstat(self._source)
        if not is_same(self._file, status):
            raise changing(str(attempt.source.root / path))

    def _cut(self, *, last: bool = False) -> None:
        """End the segment; the hasher adds the hash when it gets there."""
        if self._sent > self._cut_at or last:
            self._hasher.put(_Segment(self._cut_at, self._sent, last))
        self._cut_at, self._cut_time = self._sent, time.monotonic()

    def _hash(self, item: tuple[bytearray, int] | _Segment) -> None:
        if isinstance(item, _Segment):
            self._flusher.put(replace(item, prefix_sha256=self._sent_hash.hexdigest()))
            return
        buffer, count = item
        self._sent_hash.update(memoryview(buffer)[:count])
        self._free.put(buffer)

    def _flush(self, segment: _Segment) -> None:
        attempt, file, began = self._attempt, self._file, time.monotonic()
        reached(Point.COPY_WRITTEN)
        with attempt.on_target("Cannot flush", file.path):
            if segment.last:
                attempt.dress(file)
                sync_file(self._target)
            else:
                durability.sync_data(self._target)
            if not segment.start:
                attempt.target.sync_names([file.path])
        attempt.failures.check_online()
        reached(Point.COPY_FLUSHED)
        attempt.ledger.record([self._row_at(segment)])
        reached(Point.COPY_CHECKPOINTED)
        # A slow destination gets small segments, so that a stop is answered within a second.
        slow, size = time.monotonic() - began > _SEGMENT_SECONDS / 2, self._segment_size
        with self._checkpointed:
            self._durable = segment.end
            self._segment_size = max(_SEGMENT_MIN, size // 2) if slow else min(_SEGMENT_MAX, size * 2)
            self._checkpointed.notify_all()
        self._reader.put(segment)

    def _row_at(self, segment: _Segment) -> FileRecord:
        file, sha256 = self._file, segment.prefix_sha256
        if segment.last:
            return FileRecord(file.path, file.size, file.mtime_ns, FileState.COPIED, file.size, None, sha256)
        return FileRecord(file.path, file.size, file.mtime_ns, FileState.PENDING, segment.end, sha256)

    def _read_back(self, segment: _Segment) -> None:
        """Stops reading when a stop is requested; the file then stays unverified."""
        attempt, size = self._attempt, segment.end - segment.start
        durability.drop_cached(self._back, segment.start, size)
        with attempt.on_target("Cannot read back", self._file.path):
            done = update_from(self._back_hash.update, self._back, segment.start, size, self._step)
        self._back_done += done
        attempt.ledger.read_back(done)

    def _compare(self) -> None:
        row = self._attempt.ledger.rows[self._file.path]
        if self._back_done != row.size or self._back_hash.hexdigest() != row.sha256:
            raise self._attempt.mismatch(row)
        self._attempt.ledger.verified([replace(row, state=FileState.VERIFIED)])

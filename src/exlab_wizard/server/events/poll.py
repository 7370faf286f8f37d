"""Polls the database for changes since the last poll: moves of jobs, progress, sessions, the quit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from exlab_wizard.domain.codec import document_of
from exlab_wizard.paths import printable
from exlab_wizard.server.api.drain import drain_view
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import Json
from exlab_wizard.store.reports.rows import Record

MOST_MOVES: Final = 500
MOST_SESSIONS: Final = 1_000


Update = tuple[str, Json]
"""Something that changed: the name of the event and its data."""


@dataclass(slots=True)
class _Snapshot:
    move: int
    job: int
    session: int
    progress: dict[object, Record]
    sessions: dict[object, Record]
    drain: dict[str, Json]
    question: dict[str, Json]


class Poller:
    """Remembers its last snapshot; for one thread at a time."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._events = backend.store.events
        self._last: _Snapshot | None = None

    def poll(self) -> list[Update] | None:
        """Return what changed since the last poll, nothing at the first; None when there are too many changes.

        Raises:
            StoreError: the database cannot be read; the next poll reports the same changes.
        """
        now = self._now()
        before, self._last = self._last, now
        if before is None:
            return []
        try:
            moves = self._events.moves(before.move, MOST_MOVES + 1)
            queued = self._events.queued(before.job, MOST_MOVES + 1)
            opened = self._events.opened_sessions(before.session, MOST_MOVES + 1)
            if max(len(moves), len(queued), len(opened)) > MOST_MOVES:
                return None
            # These rows may be newer than the snapshot; the next poll must not report them again.
            now.move = _last(moves, "id", now.move)
            now.job = _last(queued, "job_id", now.job)
            now.session = _last(opened, "number", now.session)
            sessions = [*_opened(opened), *self._closed(before, now)]
            return [*_moved(queued, moves), *_progressed(before, now), *sessions, *_quit(before, now)]
        except BaseException:  # boundary: the next poll reports what this one could not
            self._last = before
            raise

    def _now(self) -> _Snapshot:
        newest = self._events.newest()
        drain = document_of(drain_view(self._backend), printable)
        blockers, question = drain.pop("blockers"), drain.pop("question")
        return _Snapshot(
            newest.event,
            newest.job,
            newest.session,
            {one["job_id"]: one for one in self._events.progress()},
            {one["id"]: _as_utf8(one) for one in self._events.active_sessions(MOST_SESSIONS)},
            drain,
            {"question": question, "blockers": blockers if question is not None else []},
        )

    def _closed(self, before: _Snapshot, now: _Snapshot) -> Iterator[Update]:
        for number, session in before.sessions.items():
            if number not in now.sessions:
                found = self._backend.store.rows.session(str(number))
                yield "session", {**session, "state": found.state if found else "expired"}


def _last(rows: list[Record], name: str, otherwise: int) -> int:
    last = rows[-1][name] if rows else otherwise
    return max(otherwise, last) if isinstance(last, int) else otherwise


def _opened(sessions: list[Record]) -> Iterator[Update]:
    """Report each new session once, in its present state: it may be over already."""
    for session in sessions:
        yield "session", {name: value for name, value in _as_utf8(session).items() if name != "number"}


def _moved(queued: list[Record], moves: list[Record]) -> Iterator[Update]:
    # Jobs that were queued come first: their moves are among the others.
    for job in queued:
        yield "job", _as_utf8(job)
    for move in moves:
        yield "job", {name: value for name, value in _as_utf8(move).items() if name != "id"}


def _progressed(before: _Snapshot, now: _Snapshot) -> Iterator[Update]:
    for number, job in now.progress.items():
        if before.progress.get(number) != job:
            yield "progress", job


def _quit(before: _Snapshot, now: _Snapshot) -> Iterator[Update]:
    # The deadline is computed anew at each poll; where it really moves, the phase has changed too.
    if {**now.drain, "deadline": None} != {**before.drain, "deadline": None}:
        yield "drain", now.drain
    if now.question != before.question:
        yield "question", now.question


def _as_utf8(record: Record) -> Record:
    return {name: printable(value) if isinstance(value, str) else value for name, value in record.items()}

"""Polls the database for changes since the last poll: moves of jobs, progress, sessions, the quit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from exlab_wizard.domain.codec import Json, document_of
from exlab_wizard.domain.views import Job, LeaseState, SessionRow
from exlab_wizard.paths import printable
from exlab_wizard.server.api.drain import drain_view
from exlab_wizard.server.backend import Backend
from exlab_wizard.store.reports.events import Move
from exlab_wizard.store.reports.rows import MAX_ID

MOST_MOVES: Final = 500
MOST_SESSIONS: Final = 1_000
_MOVE: Final = ("job_id", "at", "from_state", "to_state", "reason", "run_path", "destination")
_PROGRESS: Final = ("state", "files_done", "files_total", "bytes_done", "bytes_verified", "bytes_total")
_SESSION: Final = ("id", "kind", "label", "operator", "state")


Update = tuple[str, Json]
"""Something that changed: the name of the event and its data."""


@dataclass(slots=True)
class _Snapshot:
    move: int
    job: int
    session: int
    progress: list[dict[str, Json]]
    sessions: dict[str, SessionRow]
    drain: dict[str, Json]
    question: dict[str, Json]


class Poller:
    """Remembers its last snapshot; for one thread at a time."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._events = backend.store.events
        self._last: _Snapshot | None = None

    @property
    def question(self) -> dict[str, Json] | None:
        """The data of the quit question that stood at the last poll, if one did."""
        return self._last.question if self._last is not None and self._last.question["question"] is not None else None

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
            opened, newest = self._events.opened_sessions(before.session, MOST_MOVES + 1)
            if max(len(moves), len(queued), len(opened)) > MOST_MOVES:
                return None
            # These rows may be newer than the snapshot; the next poll must not report them again.
            now.move = max([now.move, *(move.id for move in moves)])
            now.job = max([now.job, *(job.id for job in queued)])
            now.session = max(now.session, newest)
            # Jobs that were queued come first: their moves are among the others.
            jobs = [*_moved([*queued, *moves]), *_progressed(before, now)]
            return [*jobs, *_opened(opened), *self._closed(before, now), *_quit(before, now)]
        except BaseException:  # boundary: the next poll reports what this one could not
            self._last = before
            raise

    def _now(self) -> _Snapshot:
        newest, rows = self._events.newest(), self._backend.store.rows
        drain = document_of(drain_view(self._backend), printable)
        blockers, question = drain.pop("blockers"), drain.pop("question")
        return _Snapshot(
            newest.event,
            newest.job,
            newest.session,
            [{"job_id": one.id, **_document(one, _PROGRESS)} for one in rows.in_flight(limit=MAX_ID)],
            {one.id: one for one in rows.active_sessions(limit=MOST_SESSIONS)},
            drain,
            {"question": question, "blockers": blockers if question is not None else []},
        )

    def _closed(self, before: _Snapshot, now: _Snapshot) -> Iterator[Update]:
        for number, session in before.sessions.items():
            if number not in now.sessions:
                found = self._backend.store.sessions.find(number)
                state = found.state if found else LeaseState.EXPIRED
                yield "session", _document(replace(session, state=state), _SESSION)


def _document(view: Job | Move | SessionRow, names: tuple[str, ...]) -> dict[str, Json]:
    document = document_of(view, printable)
    return {name: document[name] for name in names}


def _moved(moves: list[Move]) -> Iterator[Update]:
    for move in moves:
        yield "job", _document(move, _MOVE)


def _progressed(before: _Snapshot, now: _Snapshot) -> Iterator[Update]:
    for job in now.progress:
        if job not in before.progress:
            yield "progress", job


def _opened(sessions: list[SessionRow]) -> Iterator[Update]:
    """Report each new session once, in its present state: it may be over already."""
    for session in sessions:
        yield "session", _document(session, _SESSION)


def _quit(before: _Snapshot, now: _Snapshot) -> Iterator[Update]:
    # The deadline is computed anew at each poll; where it really moves, the phase has changed too.
    if {**now.drain, "deadline": None} != {**before.drain, "deadline": None}:
        yield "drain", now.drain
    if now.question != before.question:
        yield "question", now.question

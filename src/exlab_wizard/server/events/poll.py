"""Looks at the database, one after another, and what is new since the last: moves, progress, sessions, the quit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from exlab_wizard.domain.codec import document_of
from exlab_wizard.server.api.drain import drain_view
from exlab_wizard.server.backend import Backend, printable, shown
from exlab_wizard.server.errors import Json
from exlab_wizard.store.reports.rows import Record

MOST_MOVES: Final = 500
MOST_SESSIONS: Final = 1_000


@dataclass(frozen=True, slots=True)
class News:
    """Something that changed; `name` is the event's."""

    name: str
    data: Json


@dataclass(slots=True)
class _Seen:
    move: int
    job: int
    session: int
    progress: dict[object, Record]
    sessions: dict[object, Record]
    drain: dict[str, Json]
    question: dict[str, Json]


class Look:
    """Remembers what it saw; one thread at a time."""

    def __init__(self, backend: Backend) -> None:
        """Look at nothing yet."""
        self._backend = backend
        self._events = backend.store.events
        self._seen: _Seen | None = None

    def news(self) -> list[News] | None:
        """Return what changed since the last look, nothing at the first; None when that is too much to tell.

        Raises:
            StoreError: the database cannot be read; what was seen stays as it was.
        """
        now = self._now()
        before, self._seen = self._seen, now
        if before is None:
            return []
        try:
            moves = self._events.moves(before.move, MOST_MOVES + 1)
            queued = self._events.queued(before.job, MOST_MOVES + 1)
            opened = self._events.opened_sessions(before.session, MOST_MOVES + 1)
            if max(len(moves), len(queued), len(opened)) > MOST_MOVES:
                return None
            # What was committed since `newest` was asked is seen now, and must not be seen again.
            now.move = _last(moves, "id", now.move)
            now.job = _last(queued, "job_id", now.job)
            now.session = _last(opened, "number", now.session)
            sessions = [*_opened(opened), *self._closed(before, now)]
            return [*_moved(queued, moves), *_progressed(before, now), *sessions, *_quit(before, now)]
        except BaseException:  # boundary: what was not told is told after the next look
            self._seen = before
            raise

    def _now(self) -> _Seen:
        newest = self._events.newest()
        drain = document_of(drain_view(self._backend), printable)
        blockers, question = drain.pop("blockers"), drain.pop("question")
        return _Seen(
            newest.event,
            newest.job,
            newest.session,
            {one["job_id"]: one for one in self._events.progress()},
            {one["id"]: shown(one) for one in self._events.active_sessions(MOST_SESSIONS)},
            drain,
            {"question": question, "blockers": blockers if question is not None else []},
        )

    def _closed(self, before: _Seen, now: _Seen) -> Iterator[News]:
        for number, session in before.sessions.items():
            if number not in now.sessions:
                found = self._backend.store.rows.session(str(number))
                yield News("session", {**session, "state": found["state"] if found else "expired"})


def _last(rows: list[Record], name: str, otherwise: int) -> int:
    last = rows[-1][name] if rows else otherwise
    return max(otherwise, last) if isinstance(last, int) else otherwise


def _opened(sessions: list[Record]) -> Iterator[News]:
    """Tell each new session once, as it stands: it may be over already."""
    for session in sessions:
        yield News("session", {name: value for name, value in shown(session).items() if name != "number"})


def _moved(queued: list[Record], moves: list[Record]) -> Iterator[News]:
    # Jobs that were queued come first: their moves are among the others.
    for job in queued:
        yield News("job", shown(job))
    for move in moves:
        yield News("job", {name: value for name, value in shown(move).items() if name != "id"})


def _progressed(before: _Seen, now: _Seen) -> Iterator[News]:
    for number, job in now.progress.items():
        if before.progress.get(number) != job:
            yield News("progress", job)


def _quit(before: _Seen, now: _Seen) -> Iterator[News]:
    # The deadline is counted anew at each look; where it moves, the phase has changed.
    if {**now.drain, "deadline": None} != {**before.drain, "deadline": None}:
        yield News("drain", now.drain)
    if now.question != before.question:
        yield News("question", now.question)

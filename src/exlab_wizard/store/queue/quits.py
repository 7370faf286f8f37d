"""Quit requests: how other processes ask the running one to quit and answer its prompt; the receipt of each quit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from exlab_wizard.domain.clock import to_text
from exlab_wizard.domain.quit import QuitOutcome, QuitTrigger
from exlab_wizard.store.sqlite.database import Queries
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import Value, text, whole
from exlab_wizard.store.tables import quit_requests

_quit = quit_requests.c
_b = sa.bindparam

_this = sa.update(quit_requests).where(_quit.id == _b("quit"))
_undecided = sa.and_(_quit.launch_id == _b("launch"), _quit.outcome.is_(None))

REQUEST: Final = Statement(
    sa.insert(quit_requests)
    .values({name: _b(name) for name in ("launch_id", "requested_at", "trigger", "force", "asker_until")})
    .returning(_quit.id)
)
UNDECIDED: Final = Statement(
    sa.select(_quit.id, _quit.force, _quit.trigger, _quit.asker_until, _quit.answer)
    .where(_undecided)
    .order_by(_quit.id)
)
BEGIN: Final = Statement(_this.values({name: _b(name) for name in ("window_s", "blocking_sessions", "blocking_jobs")}))
PROMPTED: Final = Statement(_this.values(prompts=_quit.prompts + 1, asking_since=_b("now"), answer=sa.null()))
WAITED: Final = Statement(_this.values(waits=_quit.waits + 1, asking_since=sa.null(), answer=sa.null()))
DECIDE: Final = Statement(
    sa.update(quit_requests)
    .where(_undecided)
    .values(outcome=_b("outcome"), decided_at=_b("now"), asking_since=sa.null())
)
ANSWER: Final = Statement(_this.where(_quit.outcome.is_(None)).values(answer=_b("answer")))
ASKER: Final = Statement(_this.values(asker_until=_b("until")))
READ: Final = Statement(sa.select(_quit.outcome, _quit.asking_since).where(_quit.id == _b("quit")))


@dataclass(frozen=True, slots=True)
class PendingQuit:
    """An undecided quit: its trigger, whether it is forced, until when the requester can prompt, and the answer."""

    id: int
    force: bool
    trigger: QuitTrigger
    asker_until: str | None
    answer: str | None


@dataclass(frozen=True, slots=True)
class QuitView:
    """A quit as the requesting process sees it."""

    outcome: QuitOutcome | None
    asking: bool


class Quits(Queries):
    """The table `quit_requests`."""

    def request(
        self,
        launch_id: int,
        trigger: QuitTrigger,
        now: datetime,
        *,
        force: bool = False,
        asker_until: datetime | None = None,
    ) -> int:
        """Ask the launch to quit and return the request's id; the running instance notices within half a second."""
        asker = None if asker_until is None else to_text(asker_until)
        params: dict[str, Value] = {"launch_id": launch_id, "requested_at": to_text(now), "trigger": trigger}
        return whole(self._db.write(REQUEST, {**params, "force": int(force), "asker_until": asker})[0][0])

    def undecided(self, launch_id: int) -> list[PendingQuit]:
        """Return the open requests of this launch, the oldest first."""
        return [
            PendingQuit(whole(number), bool(force), QuitTrigger(str(trigger)), text(until), text(answer))
            for number, force, trigger, until, answer in self._db.read(UNDECIDED, {"launch": launch_id})
        ]

    def begin(self, quit_id: int, window_s: float, sessions: int | None, jobs: int | None) -> None:
        """Record the window and what blocked the quit when it began; None where that could not be read."""
        blocking: dict[str, Value] = {"blocking_sessions": sessions, "blocking_jobs": jobs}
        self._db.write(BEGIN, {"quit": quit_id, "window_s": window_s, **blocking})

    def prompted(self, quit_id: int, now: datetime) -> None:
        """Record that the operator is being prompted."""
        self._db.write(PROMPTED, {"quit": quit_id, "now": to_text(now)})

    def waited(self, quit_id: int) -> None:
        """Record that the answer was to wait for another window."""
        self._db.write(WAITED, {"quit": quit_id})

    def decide(self, launch_id: int, outcome: QuitOutcome, now: datetime) -> None:
        """Close every open request of this launch with the same outcome."""
        self._db.write(DECIDE, {"launch": launch_id, "outcome": outcome, "now": to_text(now)})

    def answer(self, quit_id: int, answer: str) -> None:
        """Answer the prompt from another process: `force`, `wait` or `keep_running`."""
        self._db.write(ANSWER, {"quit": quit_id, "answer": answer})

    def asker_alive(self, quit_id: int, until: datetime) -> None:
        """Promise that the requesting process can prompt the operator until then."""
        self._db.write(ASKER, {"quit": quit_id, "until": to_text(until)})

    def read(self, quit_id: int) -> QuitView:
        """Return the outcome and the prompt of the quit."""
        outcome, asking_since = self._db.read(READ, {"quit": quit_id})[0]
        decided = None if outcome is None else QuitOutcome(str(outcome))
        return QuitView(decided, asking_since is not None)

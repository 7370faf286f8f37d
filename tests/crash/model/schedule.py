"""Every order in which several processes can take their steps in the database, one after the other and none by luck.

Each act is a thread with a connection of its own, as a process has. It stops before every read and every transaction;
`interleave` lets one act at a time go on, depth first through all the choices. A transaction is one step: what is in it
nobody sees before its COMMIT, and whoever wants the write lock meanwhile waits for it. Nothing here waits for time.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.support import given
from tests.support.program import PATIENCE_SECONDS

from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.store import Store
from exlab_wizard.store.upkeep.invariants import INVARIANTS

LOCKED_SECONDS: Final = 1.0
"""Nobody ever waits for a lock here: to fail soon is to be told of a mistake in these lines."""
SHM: Final = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it

Act = Callable[[Store], object]


@dataclass
class Played:
    """One interleaving: what each act returned, and who began which statement in what order."""

    results: dict[str, object] = field(default_factory=dict)
    errors: dict[str, Exception] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)

    def place(self, act: str, start: str, nth: int = 0) -> int:
        """Return where in the order `act` began its nth statement that starts so."""
        return [at for at, (name, text) in enumerate(self.log) if name == act and text.startswith(start)][nth]

    def listed(self, act: str) -> list[object]:
        """Return the result of an act that returns a list."""
        found = self.results[act]
        assert isinstance(found, list)
        return found


@dataclass
class _Choice:
    taken: int
    among: int


class _Player(threading.Thread):
    """One act, which stops before its statements until it is let go."""

    def __init__(self, name: str, act: Act, database: Path, stage: _Stage) -> None:
        super().__init__(name=name, daemon=True)
        self.act, self.stage = act, stage
        self.next: str | None = None
        self.last = ""
        self.over = False
        self.in_transaction = False
        self._store = Store(Database(database, busy_timeout_s=LOCKED_SECONDS))

    def run(self) -> None:
        connection = self._store.database.connection()
        connection.set_trace_callback(self._about_to)
        try:
            self.stage.played.results[self.name] = self.act(self._store)
        except Exception as error:  # boundary: the test looks at it, in its own thread
            self.stage.played.errors[self.name] = error
        connection.set_trace_callback(None)
        self._store.close()
        with self.stage.turn:
            self.over = True
            self.stage.turn.notify_all()

    def _about_to(self, statement: str) -> None:
        if self.in_transaction:
            self.in_transaction = statement not in {"COMMIT", "ROLLBACK"}
            self.last = ""
            return
        if statement == self.last and not statement.startswith("SELECT"):
            return  # a trigger begins: the driver names the statement that fired it once more
        self.last = statement
        with self.stage.turn:
            self.next = statement
            self.stage.turn.notify_all()
            assert self.stage.turn.wait_for(lambda: self.next is None, PATIENCE_SECONDS), "nobody let it go on"
        self.in_transaction = statement.startswith("BEGIN")


class _Stage:
    """Where the acts of one interleaving take turns."""

    def __init__(self, database: Path, acts: Mapping[str, Act]) -> None:
        self.turn = threading.Condition()
        self.played = Played()
        self.players = [_Player(name, act, database, self) for name, act in acts.items()]

    def play(self, wanted: list[int]) -> list[_Choice]:
        """Play to the end, following `wanted` as far as it goes, and return what was chosen among how many."""
        made: list[_Choice] = []
        for player in self.players:
            player.start()
        while ready := self._ready():
            taken = wanted[len(made)] if len(made) < len(wanted) else 0
            made.append(_Choice(taken, len(ready)))
            player = ready[taken]
            with self.turn:
                assert player.next is not None
                self.played.log.append((player.name, player.next))
                player.next = None
                self.turn.notify_all()
        for player in self.players:
            player.join(PATIENCE_SECONDS)
        return made

    def _ready(self) -> list[_Player]:
        """Wait until every act stands before a statement or is over, and return those that stand."""
        with self.turn:
            stands = self.turn.wait_for(
                lambda: all(player.over or player.next for player in self.players), PATIENCE_SECONDS
            )
            assert stands, f"an act hangs, after {self.played.log}"
            return [player for player in self.players if not player.over]


def interleave(prepared: Store, acts: Mapping[str, Act], check: Callable[[Played, Store], None]) -> int:
    """Play every interleaving of `acts` on a copy of `prepared`, check each, and return how many there were."""
    wanted: list[int] = []
    number = 0
    with tempfile.TemporaryDirectory(dir=SHM if os.access(SHM, os.W_OK) else None) as folder:
        template = Path(folder) / "template.db"
        given.execute(prepared, f"VACUUM INTO '{template}'")
        with contextlib.closing(Database(template)) as database:
            database.connection()  # once for all copies: changing the journal mode needs the file alone
        while True:
            copy = Path(folder) / f"{number}.db"
            shutil.copy(template, copy)
            stage = _Stage(copy, acts)
            made = stage.play(wanted)
            number += 1
            for error in stage.played.errors.values():
                raise error
            _check(copy, stage.played, check)
            while made and made[-1].taken == made[-1].among - 1:
                made.pop()
            if not made:
                return number
            wanted = [choice.taken for choice in made]
            wanted[-1] += 1


def _check(database: Path, played: Played, check: Callable[[Played, Store], None]) -> None:
    store = Store(Database(database))
    try:
        for name, sql in INVARIANTS:
            assert given.execute(store, sql) == [], name
        check(played, store)
    except AssertionError as failure:
        failure.add_note("\n".join(f"{name}: {text[:70]}" for name, text in played.log))
        raise
    finally:
        store.close()
        for path in database.parent.glob(f"{database.name}*"):
            path.unlink()

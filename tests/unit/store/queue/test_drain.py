"""The drain predicate says what it read, or that it could not read; it never takes the one for the other."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.support import given

from exlab_wizard.domain.views import SessionKind
from exlab_wizard.errors import PredicateUnreadableError
from exlab_wizard.paths import StateDir
from exlab_wizard.store.queue.sessions import NewSession
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.store import Store


@contextmanager
def locked_by_a_shell(database: Path, *statements: str) -> Iterator[None]:
    """Another process that runs `statements` and then keeps what it holds."""
    with subprocess.Popen(
        ["sqlite3", str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n".join((*statements, "SELECT 'holds it';")) + "\n")
        process.stdin.flush()
        while (line := process.stdout.readline()) != "holds it\n":
            assert line, "the shell could not take the lock"
        yield
        process.stdin.close()


def unreadable(database: Database) -> str:
    with pytest.raises(PredicateUnreadableError) as caught:
        Store(database).drain.count(given.NOW)
    return str(caught.value)


def test_it_counts_leases_that_have_not_run_out_and_jobs_unsettled(store: Store, launch_id: int) -> None:
    assert store.drain.count(given.NOW).idle
    given.enqueue(store, "a", "b", "c")
    first, second = given.claim(store, launch_id), given.claim(store, launch_id)
    store.jobs.all_sent(second.job_id, second.claim_id)
    store.sessions.open(NewSession(SessionKind.RUN, "scan", 60), launch_id, given.NOW)
    found = store.drain.count(given.later(59))
    assert (found.active_sessions, found.in_flight_jobs, found.operations, found.idle) == (1, 2, 3, False)
    assert store.drain.count(given.later(61)).operations == 2
    given.launch(store)
    assert store.drain.count(given.later(61)).idle
    assert not store.jobs.finish(first, given.DONE, given.NOW)


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_a_database_that_another_process_has_locked_is_not_idle(place: StateDir, journal_mode: str) -> None:
    given.shell(place.database, f"PRAGMA journal_mode = {journal_mode}")
    database = Database(place.database, journal_mode=journal_mode, busy_timeout_s=0.1)
    hold = ("PRAGMA locking_mode = EXCLUSIVE;", "BEGIN EXCLUSIVE;", "UPDATE installation SET created_at = 'x';")
    with locked_by_a_shell(place.database, *hold):
        said = unreadable(database)
    assert "locked" in said
    assert "close that program" in said
    assert Store(database).drain.count(given.NOW).idle, "and readable again when the lock is gone"
    database.close()


def test_a_lock_that_comes_while_the_database_is_in_use_is_not_taken_for_idle(place: StateDir) -> None:
    given.shell(place.database, "PRAGMA journal_mode = delete")
    database = Database(place.database, journal_mode="delete", busy_timeout_s=0.1)
    assert Store(database).drain.count(given.NOW).idle
    with locked_by_a_shell(place.database, "BEGIN EXCLUSIVE;"):
        assert "locked" in unreadable(database)
    database.close()


def test_a_database_that_was_deleted_or_replaced_while_in_use_is_not_idle(store: Store, launch_id: int) -> None:
    """POSIX lets it be read on, and nobody else would ever see what is written."""
    assert store.drain.count(given.NOW).idle
    moved = store.database.path.rename(store.database.path.with_name("moved.db"))
    assert "was deleted, moved or replaced" in unreadable(store.database)
    store.database.path.write_bytes(b"")
    assert "was deleted, moved or replaced" in unreadable(store.database)
    moved.replace(store.database.path)
    assert store.drain.count(given.NOW).idle
    assert launch_id


def test_a_database_that_is_not_there_is_not_idle(tmp_path: Path) -> None:
    with closing(Database(tmp_path / "nothing.db")) as database:
        assert "no such table" in unreadable(database)
    with closing(Database(tmp_path / "no" / "folder.db")) as database:
        assert "unable to open" in unreadable(database)


@pytest.mark.parametrize("index", ["jobs_unsettled", "leases_active"])
def test_a_damaged_page_is_not_idle(store: Store, launch_id: int, index: str) -> None:
    given.enqueue(store, "a")
    given.claim(store, launch_id)
    (page,) = given.execute(store, f"SELECT rootpage FROM sqlite_master WHERE name = '{index}'")[0]
    (size,) = given.execute(store, "PRAGMA page_size")[0]
    assert isinstance(page, int)
    assert isinstance(size, int)
    store.close()
    with store.database.path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    with closing(Database(store.database.path)) as database:
        assert "malformed" in unreadable(database)

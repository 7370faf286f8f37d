"""Accidents of other queues, at the database: who is taken for alive, what a lock costs, what keeps a log growing."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import closing
from pathlib import Path

import pytest
from tests.support import given
from tests.support.program import PATIENCE_SECONDS

from exlab_wizard.domain.clock import to_text
from exlab_wizard.domain.views import LeaseState, SessionKind
from exlab_wizard.errors import StoreError
from exlab_wizard.paths import StateDir
from exlab_wizard.process.identity import SystemClock
from exlab_wizard.settings import SettingsFile
from exlab_wizard.store.queue.launches import Recovery, ThisProcess
from exlab_wizard.store.queue.sessions import NewSession
from exlab_wizard.store.readonly import query as readonly
from exlab_wizard.store.sqlite.database import WAL_LIMIT_BYTES, Database
from exlab_wizard.store.store import Store
from exlab_wizard.store.upkeep import migration
from exlab_wizard.store.upkeep.backup import Backups
from exlab_wizard.store.upkeep.invariants import check
from exlab_wizard.workers.maintenance import Maintenance


def test_a_dead_launch_whose_pid_and_name_somebody_else_has_now_is_recovered_all_the_same(store: Store) -> None:
    """Only the instance lock says who lives; this very process has the pid of the dead one."""
    reused = ThisProcess("lab-pc", given.BOOT, os.getpid(), to_text(given.NOW), "0.1.0")
    dead = store.launches.recover(reused, given.NOW).launch_id
    (job_id,) = given.enqueue(store, "a")
    given.claim(store, dead)
    found = store.launches.recover(reused, given.later(1))
    assert (found.crashed, found.cut_off) == (True, 1)
    assert given.claim(store, found.launch_id).job_id == job_id


def test_a_database_that_is_locked_for_a_moment_only_delays_the_recovery(store: Store, launch_id: int) -> None:
    (job_id,) = given.enqueue(store, "a")
    given.claim(store, launch_id)
    found: list[Recovery] = []
    with closing(Database(store.database.path)) as other:
        recovering = threading.Thread(target=lambda: found.append(given.launch(Store(other))), daemon=True)
        store.database.connection().execute("BEGIN IMMEDIATE")
        recovering.start()
        recovering.join(0.3)  # time: nothing tells that it waits for the lock
        assert found == [], "the lock was not held"
        store.database.connection().execute("ROLLBACK")
        recovering.join(PATIENCE_SECONDS)
    assert [one.cut_off for one in found] == [1]
    assert given.row(store, job_id)["state"] == "queued"


def test_a_recovery_that_an_error_ended_is_done_by_the_next_attempt(
    store: Store, launch_id: int, place: StateDir
) -> None:
    (job_id,) = given.enqueue(store, "a")
    given.claim(store, launch_id)
    store.database.connection().execute("BEGIN IMMEDIATE")
    with (
        closing(Database(place.database, busy_timeout_s=0.05)) as impatient,
        pytest.raises(StoreError, match="close that program"),
    ):
        given.launch(Store(impatient))
    store.database.connection().execute("ROLLBACK")
    assert given.row(store, job_id)["state"] == "running", "nothing of it was done"
    assert given.launch(store).cut_off == 1


def test_a_heartbeat_that_meets_a_lock_is_an_error_and_loses_no_session(
    store: Store, launch_id: int, place: StateDir
) -> None:
    store.sessions.open(NewSession(SessionKind.RUN, "scan", 60, id="scan"), launch_id, given.NOW)
    with closing(Database(place.database, busy_timeout_s=0.05)) as impatient:
        client = Store(impatient)
        store.database.connection().execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            client.sessions.renew("scan", given.later(30))
        store.database.connection().execute("ROLLBACK")
        assert client.sessions.renew("scan", given.later(31)) == given.later(91)
    found = store.sessions.find("scan")
    assert found is not None
    assert found.state is LeaseState.ACTIVE


def test_a_reader_that_never_ends_is_named_and_the_log_shrinks_when_it_has_ended(
    place: StateDir, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wal = place.database.with_name(f"{place.database.name}-wal")
    with closing(Database(place.database, journal_mode="wal")) as database:
        store = Store(database)
        settings = SettingsFile(tmp_path / "config.toml")
        maintenance = Maintenance(store, Backups(place), settings, SystemClock(), check=False)
        given.execute(store, "CREATE TABLE filler (x)")
        with closing(Database(place.database, journal_mode="wal")) as other:
            other.connection().execute("BEGIN")
            other.connection().execute("SELECT count(*) FROM launches").fetchone()
            number = 0
            while wal.stat().st_size <= WAL_LIMIT_BYTES:
                given.execute(store, "INSERT INTO filler VALUES (randomblob(4000000))")
                number += 1
                assert number < 20, "the reader holds nothing back"
            with caplog.at_level(logging.WARNING):
                maintenance.check_log_size()
            assert "Close that program" in caplog.text
            assert given.enqueue(store, "a"), "work goes on meanwhile"
        database.checkpoint("PASSIVE")
        given.enqueue(store, "b")
        assert wal.stat().st_size <= WAL_LIMIT_BYTES
        caplog.clear()
        maintenance.check_log_size()
        assert caplog.text == ""


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_nothing_that_the_program_does_drops_the_lock_that_it_holds(
    place: StateDir, tmp_path: Path, journal_mode: str
) -> None:
    """On POSIX, closing any descriptor of a file drops all locks of the process on it, those of SQLite too."""
    with closing(Database(place.database, journal_mode=journal_mode)) as database:
        store = Store(database)
        given.enqueue(store, "a")
        database.connection().execute("BEGIN IMMEDIATE")
        database.connection().execute("UPDATE installation SET created_at = created_at")

        def elsewhere() -> None:
            """What other threads do while one is inside its transaction."""
            database.require_in_place()
            database.data_version()
            migration.require_current(database)
            readonly.query(place.database, "SELECT idle FROM drain_status")
            Backups(place).write(database, tmp_path / "backup.db")
            check(database)
            assert store.drain.count(given.NOW).idle
            database.release()

        other = threading.Thread(target=elsewhere)
        other.start()
        other.join(PATIENCE_SECONDS)
        assert not other.is_alive()
        said = given.shell(place.database, "PRAGMA busy_timeout = 50; UPDATE installation SET created_at = 'stolen'")
        assert "locked" in said.stderr, "another process wrote in the middle of our transaction"
        database.connection().execute("COMMIT")
        assert given.execute(store, "SELECT count(*) FROM installation WHERE created_at = 'stolen'") == [(0,)]

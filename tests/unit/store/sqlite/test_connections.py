"""Closing the database while a thread of the process hangs inside it: no thread is hurt, and the process lives on."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from tests.support import given
from tests.support.program import PATIENCE_SECONDS, until

from exlab_wizard.errors import StoreError
from exlab_wizard.paths import StateDir
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.sqlite.driver import driver
from exlab_wizard.store.store import Store

# A process of its own: what is looked for ends it by a segmentation fault.
HANGS = """
import sys, threading
from datetime import datetime, UTC
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.sqlite.driver import driver
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.store.store import Store

path, way = sys.argv[1:]
store = Store(Database(path))
store.rows.jobs(limit=1)
mine = store.database.connections.current()
other = driver.connect(path, isolation_level=None, check_same_thread=False)
other.execute("BEGIN IMMEDIATE")
inside = threading.Event()

def write():
    inside.set()
    print(store.jobs.enqueue(NewJob("/runs/late", "nas"), datetime.now(UTC)).created)

def hang():
    if way == "lent":
        with store.database.connections.using(mine):
            write()
    else:
        store.rows.jobs(limit=1)
        write()

thread = threading.Thread(target=hang)
thread.start()
inside.wait()
while not any(held.lock._is_owned() or not held.lock.acquire(blocking=False) or held.lock.release()
              for held in store.database.connections._held):
    pass
store.close()
other.execute("COMMIT")
thread.join()
store.close()
"""


@pytest.mark.parametrize("way", ["its own connection", "lent"])
def test_a_database_that_is_closed_under_a_thread_that_hangs_in_it_ends_nobody(place: StateDir, way: str) -> None:
    command = [sys.executable, "-X", "faulthandler", "-c", HANGS, str(place.database), way]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert (ended.returncode, ended.stdout) == (0, "True\n"), ended.stderr
    with closing(Database(place.database)) as database:
        assert [job.run_path for job in Store(database).rows.jobs(limit=5)] == ["/runs/late"]


def test_when_nobody_is_inside_everything_is_closed_and_the_log_is_gone(place: StateDir) -> None:
    store = Store(Database(place.database))
    given.enqueue(store, "a")
    threads = [threading.Thread(target=lambda: store.rows.jobs(limit=1)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    store.close()
    if store.database.journal_mode == "wal":
        assert not Path(f"{place.database}-wal").exists()


def test_a_thread_that_comes_back_after_the_end_finds_its_connection_closed(place: StateDir) -> None:
    store = Store(Database(place.database))
    store.rows.jobs(limit=1)
    mine = store.database.connections.current()
    store.close()
    with store.database.connections.using(mine), pytest.raises(driver.ProgrammingError):
        mine.connection.execute("SELECT 1")
    assert until(lambda: store.jobs.enqueue(NewJob("/runs/a", "nas"), given.NOW).created)
    store.close()


def test_a_thread_that_comes_after_the_close_for_good_opens_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "exlab-wizard.db")
    database.connection()
    database.close(for_good=True)
    errors: list[str] = []

    def late() -> None:
        try:
            database.connection()
        except StoreError as error:
            errors.append(str(error))

    thread = threading.Thread(target=late)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    assert errors == ["the database is closed: the application is exiting"]
    assert [path.name for path in tmp_path.iterdir()] == ["exlab-wizard.db"]

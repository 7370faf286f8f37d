"""Every service keeps the one lifecycle: stop returns when no thread is left, before a start and twice over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from tests.support.bench import Bench
from tests.support.program import PATIENCE_SECONDS, until

from exlab_wizard.paths import StateDir
from exlab_wizard.process.safe_mode import SafeMode
from exlab_wizard.process.steady_clock import SteadyClock
from exlab_wizard.process.supervisor import Service
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.upkeep.backup import Backups
from exlab_wizard.workers.maintenance import Maintenance
from exlab_wizard.workers.pool import WorkerPool
from exlab_wizard.workers.watchdog import Watchdog


def workers(bench: Bench) -> Service:
    return WorkerPool(bench.store, bench.attempts, bench.launch_id, bench.clock, lambda: None)


def watchdog(bench: Bench) -> Service:
    return Watchdog(
        bench.store,
        bench.settings,
        bench.pool,
        bench.launch_id,
        SteadyClock(bench.clock),
        safe_mode=SafeMode(bench.store, bench.launch_id, bench.clock),
        quit_asked=lambda _quits: None,
        changed=lambda: None,
    )


def maintenance(bench: Bench) -> Service:
    backups = Backups(StateDir(bench.database.path.parent))
    return Maintenance(bench.store, backups, bench.settings, bench.clock, check=True)


@pytest.mark.parametrize("make", [workers, watchdog, maintenance])
def test_a_service_stops_as_often_as_asked_and_leaves_no_thread(
    make: Callable[[Bench], Service], tmp_path: Path
) -> None:
    bench = Bench(tmp_path)
    before = set(threading.enumerate())
    make(bench).stop()
    for _ in range(20):
        service = make(bench)
        service.start()
        service.stop()
        service.stop()
        until(lambda: set(threading.enumerate()) <= before, what="the service's threads to end")
    bench.close()


class ClosedMeanwhile(Backups):
    """Backs up when a quit has just closed the database."""

    def create(
        self, database: Database, now: datetime, *, label: str, progress: Callable[[int, int], None] | None = None
    ) -> Path:
        connection = database.connections.current()
        quits = threading.Thread(target=database.close)
        quits.start()
        quits.join(PATIENCE_SECONDS)
        with database.connections.using(connection):
            return super().create(database, now, label=label, progress=progress)


def test_a_quit_does_not_close_the_database_under_a_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exlab_wizard.workers.maintenance.FIRST_POLL_DELAY_SECONDS", 0.0)
    bench = Bench(tmp_path)
    backups = ClosedMeanwhile(StateDir(bench.database.path.parent))
    service = Maintenance(bench.store, backups, bench.settings, bench.clock, check=True)
    service.start()
    until(backups.all, what="the backup, on a connection that SQLite would crash on if it were closed")
    service.stop()
    bench.close()

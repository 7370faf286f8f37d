"""The real gate and predicate on a real database: what a quit leaves behind for those who ask later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.virtual_quit import VirtualQuit

from exlab_wizard.domain.quit import QuitOutcome, QuitTrigger
from exlab_wizard.paths import StateDir
from exlab_wizard.process.identity import this_process
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import Value
from exlab_wizard.store.store import Store
from exlab_wizard.store.tables import launches, quit_requests
from exlab_wizard.store.upkeep import migration
from exlab_wizard.store.upkeep.backup import Backups
from exlab_wizard.tray.quit_gate import LaunchGate


class Record:
    """A launch in a database of its own, and the gate that guards it."""

    def __init__(self, state_dir: StateDir, virtual: VirtualQuit) -> None:
        database = Database(state_dir.database)
        migration.upgrade(database, Backups(state_dir), virtual.clock.now())
        self.store = Store(database)
        self.launch_id = self.store.launches.recover(this_process(), virtual.clock.now()).launch_id
        self.gate = LaunchGate(self.store, self.launch_id, virtual.clock)
        self.coordinator = virtual.coordinate(self.gate, virtual.question)

    def quit_row(self) -> dict[str, Value]:
        (row,) = self.store.database.named(Statement(quit_requests.select()))
        return row

    def draining_since(self) -> Value:
        return self.store.database.named(Statement(launches.select()))[0]["draining_since"]


@pytest.fixture
def record(tmp_path: Path, virtual: VirtualQuit) -> Iterator[Record]:
    record = Record(StateDir(tmp_path), virtual)
    yield record
    record.store.close()


def test_three_waits_stand_in_the_record_of_the_quit(virtual: VirtualQuit, record: Record) -> None:
    virtual.predicate.jobs = 1
    virtual.question.answers = ["wait", "wait", "wait"]

    async def quitting() -> QuitOutcome:
        virtual.at(100.0, lambda: virtual.end_jobs(silently=True))
        return await record.coordinator.quit()

    record.gate.requested(QuitTrigger.TRAY)
    assert virtual.run(quitting()) is QuitOutcome.DRAINED
    row = record.quit_row()
    assert (row["trigger"], row["window_s"], row["prompts"], row["waits"]) == ("tray", 30.0, 3, 3)
    assert (row["blocking_sessions"], row["blocking_jobs"], row["outcome"]) == (0, 1, "drained")
    assert row["requested_at"] == "2026-01-01T00:00:00.000Z"
    assert "2026-01-01T00:01:40" <= str(row["decided_at"]) <= "2026-01-01T00:01:41"
    assert record.draining_since() == "2026-01-01T00:00:00.000Z"


def test_a_quit_that_was_taken_back_stands_in_the_record_and_leaves_the_gate_open(
    virtual: VirtualQuit, record: Record
) -> None:
    virtual.predicate.jobs = 1
    virtual.question.answers = ["keep_running"]
    assert virtual.run(record.coordinator.quit()) is QuitOutcome.KEPT_RUNNING
    assert record.quit_row()["outcome"] == "kept_running"
    assert record.draining_since() is None


def test_the_gate_is_closed_in_the_database_before_anything_is_counted(virtual: VirtualQuit, record: Record) -> None:
    gate_at_first_look: list[Value] = []

    def look() -> None:
        gate_at_first_look.append(record.draining_since())

    virtual.predicate.hang = look
    assert virtual.run(record.coordinator.quit()) is QuitOutcome.DRAINED
    assert gate_at_first_look[0] is not None

"""A database that an earlier version left in the middle of its work is migrated, recovered and finished."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from tests.support.program import MIB, Program, until, write_run

from exlab_wizard.crash_points import Point
from exlab_wizard.store.upkeep import migration
from exlab_wizard.testing import Application, Lab

PENDING = {"big.raw": 24 * MIB, "notes.txt": 10}


def downgraded(program: Application, to: str) -> None:
    """Bring the database back to what an earlier version wrote; its rows stay."""
    config = Config()
    config.set_main_option("script_location", str(migration.migrations_dir()))
    with program.store() as store, store.database.engine.connect() as connection:
        config.attributes["connection"] = connection
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        command.downgrade(config, to)
        connection.exec_driver_sql("COMMIT")
    assert program.value("SELECT version_num FROM alembic_version") == to


def left_by_an_earlier_version(program: Application) -> list[int]:
    """Leave one job in flight under a dead launch, one queued and one cancelled, in the schema of the first version."""
    program.configure(bandwidth_mib_s=6, workers=1)
    program.start()
    jobs = [program.enqueue(write_run(program.home / name, PENDING)) for name in ("first", "second", "third")]
    until(lambda: program.number("SELECT bytes_done FROM sync_jobs WHERE id = ?", jobs[0]) > 0, what="bytes")
    program.kill()
    with program.store() as store:
        store.database.connection().execute("UPDATE sync_jobs SET state = 'cancelled' WHERE id = ?", (jobs[2],))
    downgraded(program, "0001")
    assert [program.job_state(job) for job in jobs] == ["running", "queued", "cancelled"]
    program.configure()
    return jobs


@pytest.mark.slow
def test_work_that_an_earlier_version_left_in_flight_is_finished_by_this_one(program: Program) -> None:
    jobs = left_by_an_earlier_version(program)
    program.start()
    until(lambda: [program.job_state(job) for job in jobs[:2]] == ["verified"] * 2, what="both runs")
    assert [program.job_state(job) for job in jobs] == ["verified", "verified", "cancelled"]
    assert program.number("SELECT bytes_resumed FROM sync_jobs WHERE id = ?", jobs[0]) > 0
    assert program.value("SELECT version_num FROM alembic_version") == migration.HEAD_REVISION
    assert program.query("SELECT end_reason FROM launches") == [("crashed",), (None,)]
    (backup,) = (program.state / "backups").glob(f"*-before-{migration.HEAD_REVISION}.db")
    shell = ["sqlite3", str(backup), "SELECT version_num FROM alembic_version; SELECT state FROM sync_jobs ORDER BY id"]
    said = subprocess.run(shell, capture_output=True, text=True, check=True).stdout.split()
    assert said == ["0001", "running", "queued", "cancelled"]


@pytest.mark.sampled
@pytest.mark.slow
@pytest.mark.parametrize("point", [Point.MIGRATION_BEFORE, Point.MIGRATION_BEFORE_COMMIT, Point.MIGRATION_AFTER])
def test_a_kill_during_the_migration_leaves_one_schema_or_the_other_and_all_the_work(
    tmp_path: Path, point: Point
) -> None:
    with Lab(tmp_path) as lab:
        jobs = left_by_an_earlier_version(lab)
        lab.kill_at(point)
        held = lab.value("SELECT version_num FROM alembic_version")
        assert held == (migration.HEAD_REVISION if point is Point.MIGRATION_AFTER else "0001")
        lab.start()
        until(lambda: [lab.job_state(job) for job in jobs[:2]] == ["verified"] * 2, what="both runs")
        assert [lab.job_state(job) for job in jobs] == ["verified", "verified", "cancelled"]


MADE_BY_0_1_0 = Path(__file__).with_name("made_by_0_1_0.sqlite")
"""Version 0.1.0 was killed over it, in schema 0002: one job in each of five states, and a session."""
ITS_HOME = "/instrument"
ITS_RUNS = {
    "verified": {"a.raw": 70_000, "frames/1.tif": 5},
    "failed": {"a.raw": 70_000},
    "resumable": {"big.raw": 24 * MIB, "notes.txt": 10},
    "queued": {"a.raw": 300},
    "cancelled": {"a.raw": 300},
}


@pytest.mark.slow
def test_a_database_that_version_0_1_0_made_is_opened_and_its_work_finished(program: Program) -> None:
    shutil.copy(MADE_BY_0_1_0, program.database)
    for name, files in ITS_RUNS.items():
        write_run(program.home / "runs" / name, files)
    program.query("UPDATE sync_jobs SET run_path = replace(run_path, ?, ?)", ITS_HOME, str(program.home))
    states = "SELECT state, crashes FROM sync_jobs ORDER BY id"
    assert [state for state, _ in program.query(states)] == ["verified", "failed", "running", "queued", "cancelled"]
    before = program.query("SELECT * FROM sync_jobs WHERE state IN ('verified', 'cancelled')")
    events = program.query("SELECT * FROM job_events ORDER BY id")

    program.start()
    until(lambda: [program.job_state(job) for job in (3, 4)] == ["verified"] * 2, what="the pending runs")
    assert program.job_state(2) == "failed"
    assert program.call("retry", "2").returncode == 0
    until(lambda: program.job_state(2) == "verified", what="the failed run, which nothing is wrong with now")
    # Another machine took over, so the kill was a restart of the machine to it, and nobody's fault.
    assert program.query(states) == [("verified", 0)] * 4 + [("cancelled", 0)]
    assert program.query("SELECT * FROM sync_jobs WHERE state = 'cancelled' OR id = 1") == before
    assert program.query("SELECT * FROM job_events ORDER BY id")[: len(events)] == events
    assert program.query("SELECT end_reason FROM launches ORDER BY id") == [
        ("drained",),
        ("forced",),
        ("host_restarted",),
        (None,),
    ]
    assert program.value("SELECT version_num FROM alembic_version") == migration.HEAD_REVISION
    until(lambda: program.query("SELECT state FROM session_leases") == [("expired",)], what="the old session to end")
    for name in ("failed", "resumable", "queued"):
        assert program.checksums_pass(name)
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0
    assert program.call("db", "check").returncode == 0

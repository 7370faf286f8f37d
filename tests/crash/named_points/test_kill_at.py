"""Killed at every point that has a name: the next launch finishes the work, and nothing is lost, doubled or damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from pathlib import Path

import pytest
from tests.support.forked import fork
from tests.support.nursery import Nursery

from exlab_wizard.crash_points import Point
from exlab_wizard.domain.codec import Json
from exlab_wizard.domain.views import LeaseState
from exlab_wizard.paths import StateDir
from exlab_wizard.process.identity import SystemClock
from exlab_wizard.store.upkeep.backup import KEPT_BACKUPS, Backups
from exlab_wizard.testing import MIB, Lab, Process, until

BIG = {"big.raw": 20 * MIB, "frames/1.tif": 70_000}
CRAWL_MIB_S = 0.001
SESSION = "00000000-0000-4000-8000-000000000001"

ENQUEUE = [Point.ENQUEUE_BEFORE_COMMIT, Point.ENQUEUE_AFTER_COMMIT]
SYNC = [
    *(Point.CLAIM_BEFORE_COMMIT, Point.CLAIM_AFTER_COMMIT),
    *(Point.COPY_WRITTEN, Point.COPY_FLUSHED, Point.COPY_CHECKPOINTED),
    *(Point.VERIFY_BEFORE_NOTED, Point.VERIFY_NOTED, Point.RECEIPT_BEFORE_REPLACE),
    *(Point.PUBLISH_BEFORE_RENAME, Point.PUBLISH_AFTER_RENAME, Point.PUBLISH_DONE),
    *(Point.FINISH_BEFORE_COMMIT, Point.FINISH_AFTER_COMMIT),
]
MERGE = [Point.MERGE_FILE_PUBLISHED, Point.MERGE_BEFORE_CLEAR, Point.RECEIPT_BEFORE_REPLACE]
LEASE = [Point.LEASE_BEFORE_COMPLETE, Point.LEASE_CLOSED, Point.LEASE_COMPLETED]
DRAIN = [Point.QUIT_GATE_CLOSED, Point.QUIT_BEFORE_RECEIPT, Point.QUIT_AFTER_RECEIPT]
FORCE = [Point.QUIT_BEFORE_MARKED, Point.QUIT_AFTER_MARKED]
RECOVERY = [Point.RECOVERY_BEFORE, Point.RECOVERY_DEAD_CLOSED, Point.RECOVERY_BEFORE_COMMIT, Point.RECOVERY_AFTER]
MIGRATION = [Point.MIGRATION_BEFORE, Point.MIGRATION_BEFORE_COMMIT, Point.MIGRATION_AFTER]
BACKUP = [Point.BACKUP_BEFORE_RENAME, Point.BACKUP_AFTER_RENAME]
RESTORE = [Point.RESTORE_BEFORE_RENAME, Point.RESTORE_AFTER_RENAME]
VISIBLE = {Point.PUBLISH_AFTER_RENAME, Point.PUBLISH_DONE, Point.FINISH_BEFORE_COMMIT, Point.FINISH_AFTER_COMMIT}

pytestmark = pytest.mark.slow


class ForkedLab(Lab):
    """A lab whose processes come from the fork server, ready at once: nothing else about them is different."""

    def __init__(self, home: Path, nursery: Nursery) -> None:
        super().__init__(home)
        self._nursery = nursery

    def _started(self, command: Sequence[str], stdout: Path, stderr: Path) -> Process:
        return fork(
            self._nursery, command, environment=self.environment, folder=self.home, stdout=stdout, stderr=stderr
        )


@pytest.fixture
def exlab(tmp_path: Path, nursery: Nursery) -> Iterator[Lab]:
    """The fixture of the plugin, with faster launches."""
    with ForkedLab(tmp_path / "exlab", nursery) as lab:
        yield lab


def finish(lab: Lab) -> None:
    """The next launch works everything off."""
    lab.relaunch()
    lab.until_idle()
    lab.assert_nothing_lost()
    assert lab.number("SELECT count(*) FROM sync_jobs WHERE state <> 'verified'") == 0
    assert not (lab.nas / ".exlab-incoming").exists()


@pytest.mark.sampled(cases=5)
@pytest.mark.parametrize("point", SYNC)
def test_killed_while_it_syncs_the_next_launch_finishes_the_run(exlab: Lab, point: Point) -> None:
    exlab.sync(exlab.make_run())
    exlab.kill_at(point)
    assert (exlab.nas / "run-1").exists() == (point in VISIBLE)
    exlab.assert_nothing_lost()
    finish(exlab)


def reached_again(point: Point) -> list[Point]:
    """Return what a launch comes to that goes on from a kill at `point`: nothing is done twice."""
    if point is Point.FINISH_AFTER_COMMIT:
        return []
    if point in VISIBLE:
        claims = [Point.CLAIM_BEFORE_COMMIT, Point.CLAIM_AFTER_COMMIT]
        return [*claims, Point.PUBLISH_DONE, Point.FINISH_BEFORE_COMMIT, Point.FINISH_AFTER_COMMIT]
    if SYNC.index(point) < SYNC.index(Point.COPY_CHECKPOINTED):
        return SYNC
    return [later for later in SYNC if not later.startswith("copy:")]


PAIRS = [(first, second) for first in SYNC for second in reached_again(first)]


@pytest.mark.parametrize(("first", "second"), PAIRS if os.environ.get("EXLAB_POINTS") == "full" else PAIRS[::40])
def test_killed_twice_on_its_way_the_run_arrives_all_the_same(exlab: Lab, first: Point, second: Point) -> None:
    exlab.sync(exlab.make_run())
    exlab.kill_at(first)
    exlab.assert_nothing_lost()
    exlab.kill_at(second)
    assert (exlab.nas / "run-1").exists() == bool({first, second} & VISIBLE)
    exlab.assert_nothing_lost()
    finish(exlab)


@pytest.mark.parametrize("point", [Point.COPY_FLUSHED, Point.COPY_CHECKPOINTED])
def test_killed_in_the_middle_of_a_large_file_it_goes_on_there(exlab: Lab, point: Point) -> None:
    exlab.sync(exlab.make_run(files=BIG))
    exlab.kill_at(point, nth=2)
    finish(exlab)


@pytest.mark.sampled
@pytest.mark.parametrize("point", MERGE)
def test_killed_while_files_are_added_to_a_published_run_all_of_them_arrive(exlab: Lab, point: Point) -> None:
    run = exlab.make_run()
    exlab.sync(run)
    exlab.kill_at(Point.FINISH_AFTER_COMMIT)
    exlab.make_run(files={"later/1.tif": 50_000, "later/2.tif": 60_000}, seed=2)
    exlab.sync(run)
    exlab.kill_at(point)
    exlab.assert_nothing_lost()
    finish(exlab)


@pytest.mark.parametrize("point", ENQUEUE)
def test_killed_while_it_queues_a_run_the_run_is_queued_or_it_is_not(exlab: Lab, point: Point) -> None:
    run = exlab.make_run()
    exlab.kill_at(point, "sync", str(run))
    assert exlab.number("SELECT count(*) FROM sync_jobs") == (point is Point.ENQUEUE_AFTER_COMMIT)
    assert exlab.said() == ""
    exlab.sync(run)
    assert exlab.number("SELECT count(*) FROM sync_jobs") == 1
    finish(exlab)


@pytest.mark.sampled
@pytest.mark.parametrize("point", LEASE)
def test_killed_while_a_session_completes_all_its_runs_are_queued_or_none_and_its_client_may_ask_again(
    exlab: Lab, point: Point
) -> None:
    runs: list[Json] = [
        {"path": str(exlab.make_run(f"run-{number}", seed=number)), "destination": "nas"} for number in range(3)
    ]

    def complete() -> tuple[int, Json]:
        return exlab.api("POST", f"/sessions/{SESSION}/complete", {"runs": runs})

    def open_and_complete() -> None:
        assert exlab.api("POST", "/sessions", {"kind": "run", "label": "scan", "id": SESSION})[0] == 201
        with pytest.raises((OSError, HTTPException)):
            complete()

    exlab.kill_at(point, meanwhile=open_and_complete)
    with exlab.store() as store:
        lease, jobs = store.sessions.find(SESSION), store.rows.jobs(limit=10)
    assert lease is not None
    done = point is Point.LEASE_COMPLETED
    assert (lease.state, len(jobs)) == ((LeaseState.COMPLETED, 3) if done else (LeaseState.ACTIVE, 0))
    exlab.relaunch()
    assert complete() == (200, {"id": SESSION, "state": "completed", "jobs": [1, 2, 3]})
    exlab.until_idle()
    exlab.assert_nothing_lost()
    assert exlab.query("SELECT state, session_id FROM sync_jobs") == [("verified", SESSION)] * 3


@pytest.mark.parametrize("point", DRAIN)
def test_killed_while_it_quits_the_next_launch_works(exlab: Lab, point: Point) -> None:
    exlab.kill_at(point, meanwhile=exlab.quit)
    exlab.sync(exlab.make_run())
    finish(exlab)
    ended = {Point.QUIT_AFTER_RECEIPT: "drained"}.get(point, "crashed")
    assert exlab.value("SELECT end_reason FROM launches WHERE id = 1") == ended


@pytest.mark.parametrize("point", FORCE)
def test_killed_while_it_forces_the_run_resumes_all_the_same(exlab: Lab, point: Point) -> None:
    exlab.configure(bandwidth_mib_s=CRAWL_MIB_S, session_end_window_s=3.0)
    job = exlab.sync(exlab.make_run(files=BIG))

    def quit_while_it_runs() -> None:
        until(lambda: exlab.job_state(job) == "running", what="the job to run")
        exlab.quit()

    exlab.kill_at(point, meanwhile=quit_while_it_runs)
    exlab.configure()
    finish(exlab)


@pytest.mark.sampled(cases=2)
@pytest.mark.parametrize("point", RECOVERY)
def test_killed_while_it_recovers_from_a_kill_the_next_launch_recovers_both(exlab: Lab, point: Point) -> None:
    exlab.sync(exlab.make_run(files=BIG))
    exlab.kill_at(Point.COPY_CHECKPOINTED)
    exlab.kill_at(point)
    recovered = exlab.number("SELECT count(*) FROM launches") == 2
    assert recovered == (point is Point.RECOVERY_AFTER)
    assert exlab.job_state() == ("queued" if recovered else "running")
    finish(exlab)
    assert exlab.query("SELECT attempts, crashes, interruptions FROM sync_jobs") == [(1, 0, 0)]


@pytest.mark.parametrize("point", MIGRATION)
def test_killed_while_it_makes_its_database_the_next_launch_makes_it(exlab: Lab, point: Point) -> None:
    exlab.kill_at(point)
    exlab.sync(exlab.make_run())
    finish(exlab)


@pytest.mark.parametrize("point", BACKUP)
def test_killed_while_it_backs_up_a_backup_is_whole_or_not_there(exlab: Lab, point: Point) -> None:
    exlab.sync(exlab.make_run())
    with exlab.store() as store:
        for _ in range(KEPT_BACKUPS):
            Backups(StateDir(exlab.state)).create(store.database, SystemClock().now(), label="manual")
    before = list_backups(exlab)
    exlab.kill_at(point, "db", "backup")
    assert len(list_backups(exlab)) == KEPT_BACKUPS + (point is Point.BACKUP_AFTER_RENAME)
    assert exlab.call("db", "backup").returncode == 0
    assert len(list_backups(exlab)) == KEPT_BACKUPS
    assert not set(list_backups(exlab)) <= set(before)
    finish(exlab)


def list_backups(lab: Lab) -> list[Path]:
    return sorted((lab.state / "backups").glob("*.db"))


@pytest.mark.parametrize("point", RESTORE)
def test_killed_while_it_restores_there_is_the_old_database_or_the_new_one(exlab: Lab, point: Point) -> None:
    exlab.sync(exlab.make_run())
    backup = exlab.home / "copy.db"
    assert exlab.call("db", "backup", str(backup)).returncode == 0
    later = exlab.make_run("later", seed=2)
    exlab.sync(later)
    exlab.kill_at(point, "db", "restore", str(backup))
    if point is Point.RESTORE_AFTER_RENAME:
        exlab.handed.pop()
        exlab.sync(later)
    finish(exlab)


def test_no_point_is_forgotten_here() -> None:
    killed = {*ENQUEUE, *SYNC, *MERGE, *LEASE, *DRAIN, *FORCE, *RECOVERY, *MIGRATION, *BACKUP, *RESTORE}
    assert killed == set(Point)

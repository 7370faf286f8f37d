"""How the file is opened, and what other programs that use it can and cannot do to us."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import pytest
from tests.support import given
from tests.support.program import PATIENCE_SECONDS

from exlab_wizard.domain.job import ErrorKind, JobState, OperatorMove
from exlab_wizard.domain.outcome import Decision
from exlab_wizard.errors import RefusedError, StoreError, UsageError
from exlab_wizard.paths import StateDir
from exlab_wizard.store.queue.jobs import ENQUEUE
from exlab_wizard.store.readonly import query as readonly
from exlab_wizard.store.sqlite.database import WAL_LIMIT_BYTES, WAL_TARGET_BYTES, Database
from exlab_wizard.store.sqlite.driver import has_wal_reset_bug
from exlab_wizard.store.store import Store
from exlab_wizard.store.upkeep import migration
from exlab_wizard.store.upkeep.backup import Backups
from exlab_wizard.store.upkeep.invariants import INVARIANTS, PROGRESS_RULES, check, check_rows


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 53, 0), False),
        ((4, 0, 0), False),
    ],
)
def test_libraries_with_the_wal_reset_bug_are_known(version: tuple[int, ...], *, affected: bool) -> None:
    assert has_wal_reset_bug(version) is affected


def test_every_connection_is_durable_and_holds_foreign_keys(store: Store) -> None:
    wanted = {"journal_mode": store.database.journal_mode, "synchronous": 3, "foreign_keys": 1, "recursive_triggers": 0,
              "journal_size_limit": WAL_LIMIT_BYTES}  # fmt: skip
    seen: list[dict[str, object]] = []

    def look() -> None:
        seen.append({name: given.execute(store, f"PRAGMA {name}")[0][0] for name in wanted})
        store.database.release()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    look()
    assert seen == [wanted, wanted]


def test_a_setting_that_does_not_hold_is_refused(place: StateDir) -> None:
    with closing(Database(place.database, journal_mode="wal")) as holder:
        holder.connection()
        with (
            closing(Database(place.database, journal_mode="delete", busy_timeout_s=0.1)) as database,
            pytest.raises(StoreError, match="cannot"),
        ):
            database.connection()


def test_a_state_dir_on_a_network_share_works_without_wal(tmp_path: Path) -> None:
    state_dir = StateDir(tmp_path)
    with closing(Database(state_dir.database, journal_mode="delete")) as database:
        migration.upgrade(database, Backups(state_dir), given.NOW)
        database.grow_wal()
        store = Store(database)
        launch_id = given.launch(store).launch_id
        given.bring_to(store, launch_id, JobState.VERIFIED)
        given.bring_to(store, launch_id, JobState.RUNNING)
        assert given.launch(store).resumed == 1
        assert database.checkpoint()
        Backups(state_dir).create(database, given.NOW, label="daily")
        assert readonly.query(state_dir.database, "SELECT idle FROM drain_status").rows == [(1,)]
        assert [finding for finding in check(database) if not finding.ok] == []
        assert not state_dir.database.with_name("exlab-wizard.db-wal").exists()


def test_the_wal_is_grown_once_and_the_database_keeps_its_content(store: Store, place: StateDir) -> None:
    if store.database.journal_mode != "wal":
        pytest.skip("this SQLite has the WAL-reset bug")
    before = given.execute(store, "SELECT name FROM sqlite_master ORDER BY name")
    store.database.grow_wal()
    wal = place.database.with_name("exlab-wizard.db-wal")
    grown = wal.stat().st_size
    assert grown > WAL_TARGET_BYTES * 0.9
    given.enqueue(store, *"abcdefgh")
    assert wal.stat().st_size == grown, "commits overwrite it"
    assert given.execute(store, "SELECT name FROM sqlite_master ORDER BY name") == before
    assert store.database.checkpoint()
    assert wal.stat().st_size == 0


def test_a_commit_of_another_process_is_noticed_and_quiet_is_not(store: Store, place: StateDir) -> None:
    first = store.database.data_version()
    assert store.database.data_version() == first
    given.shell(place.database, "SELECT * FROM drain_status")
    assert store.database.data_version() == first
    given.shell(place.database, "UPDATE installation SET created_at = 'x'")
    assert store.database.data_version() != first


def test_a_write_that_meets_a_lock_is_an_error_that_says_so_and_writes_nothing(place: StateDir) -> None:
    with (
        closing(Database(place.database, busy_timeout_s=0.1)) as database,
        closing(Database(place.database)) as other,
    ):
        store = Store(database)
        assert store.drain.count(given.NOW).idle
        other.connection().execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"locked.*close that program"):
            given.enqueue(store, "a")
        with pytest.raises(StoreError, match="locked"), database.transaction():
            pytest.fail("the block must not be entered")
        other.connection().execute("ROLLBACK")
        given.enqueue(store, "a")
        assert given.execute(store, "SELECT count(*) FROM sync_jobs") == [(1,)]


def test_a_transaction_that_raises_is_undone(store: Store) -> None:
    params = {
        "run_path": "/a",
        "destination": "nas",
        "equipment_id": None,
        "session_id": None,
        "priority": 0,
        "now": "x",
    }

    def halfway() -> None:
        with store.database.transaction() as transaction:
            transaction.run(ENQUEUE, params)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        halfway()
    assert given.execute(store, "SELECT count(*) FROM sync_jobs") == [(0,)]
    assert given.enqueue(store, "b")


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM sync_jobs",
        "UPDATE sync_jobs SET state = 'cancelled'",
        "INSERT INTO job_transitions VALUES ('a', 'b', 'c')",
        "ATTACH '/tmp/other.db' AS other",
        "PRAGMA journal_mode = delete",
        "PRAGMA query_only = 0",
        "PRAGMA writable_schema = 1",
        "SELECT load_extension('x')",
        "CREATE TEMP TABLE t (x)",
        "VACUUM",
        "VACUUM INTO '/tmp/copy.db'",
        "BEGIN IMMEDIATE",
        "DROP TABLE job_events",
    ],
)
def test_inspection_reads_and_does_nothing_else(store: Store, place: StateDir, launch_id: int, sql: str) -> None:
    given.bring_to(store, launch_id, JobState.VERIFIED)
    before = given.execute(store, "SELECT * FROM sync_jobs"), given.execute(store, "SELECT count(*) FROM sqlite_master")
    with pytest.raises(RefusedError, match="only reading is allowed here"):
        readonly.query(place.database, sql)
    assert (
        given.execute(store, "SELECT * FROM sync_jobs"),
        given.execute(store, "SELECT count(*) FROM sqlite_master"),
    ) == before


def test_inspection_is_limited_in_rows_and_time_and_does_not_block_a_writer(store: Store, place: StateDir) -> None:
    given.enqueue(store, *"abc")
    found = readonly.query(place.database, "SELECT id FROM sync_jobs WHERE destination = :to", {"to": "nas"}, rows=2)
    assert (found.columns, found.rows, found.truncated) == (("id",), [(1,), (2,)], True)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n, sync_jobs"
    ended: list[str] = []

    def ask() -> None:
        with pytest.raises(StoreError) as caught:
            readonly.query(place.database, endless, seconds=0.5)
        ended.append(str(caught.value))

    thread = threading.Thread(target=ask)
    thread.start()
    assert given.enqueue(store, "d")
    assert ended == [], "it was still reading"
    thread.join(PATIENCE_SECONDS)
    assert "time limit of 0.5 s" in ended[0]


@pytest.mark.parametrize("sql", ["SELEC", "SELECT * FROM nothing", "SELECT 1; SELECT 2"])
def test_a_query_that_cannot_be_meant_says_why(store: Store, place: StateDir, sql: str) -> None:
    store.database.connection()
    with pytest.raises(UsageError, match="SQL: "):
        readonly.query(place.database, sql)


def test_inspection_of_nothing_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no database"):
        readonly.query(tmp_path / "none.db", "SELECT 1")
    assert list(tmp_path.iterdir()) == []


def broken(store: Store, *sql: str) -> dict[str, str]:
    """What `check` finds after somebody switched the guards off and wrote `sql`."""
    connection = store.database.connection()
    connection.execute("PRAGMA foreign_keys = 0")
    connection.execute("PRAGMA ignore_check_constraints = 1")
    guards = [
        (str(name), str(text))
        for name, text in given.execute(store, "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    ]
    for name, _ in guards:
        connection.execute(f"DROP TRIGGER {name}")
    for one in sql:
        connection.execute(one)
    for _, text in guards:
        connection.execute(text)
    return {finding.name: finding.detail for finding in check(store.database) if not finding.ok}


def test_a_database_in_use_passes_every_check(store: Store, launch_id: int) -> None:
    for state in (JobState.VERIFIED, JobState.CLEANED, JobState.FAILED, JobState.RESUMABLE, JobState.CANCELLED):
        given.bring_to(store, launch_id, state)
    given.bring_to(store, launch_id, JobState.RUNNING)
    assert broken(store) == {}
    assert len(check(store.database)) == len(INVARIANTS) + 4


LATER_LAUNCH = (
    "INSERT INTO launches (host, boot_id, pid, process_started_at, version, started_at)"
    " VALUES ('lab-pc', 'boot-1', 1, 'x', '0', 'x')"
)


@pytest.mark.parametrize(
    ("fault", "sql"),
    [
        (
            "jobs have a claim if and only if they are in flight",
            "UPDATE sync_jobs SET claim_id = NULL WHERE state = 'running'",
        ),
        (
            "jobs have a claim if and only if they are in flight",
            "UPDATE sync_jobs SET claim_id = 'x' WHERE state = 'verified'",
        ),
        (
            "jobs in flight belong to the last launch, which is running or was forced to quit",
            "UPDATE launches SET ended_at = 'x', end_reason = 'drained'",
        ),
        (
            "jobs in flight belong to the last launch, which is running or was forced to quit",
            LATER_LAUNCH,
        ),
        ("only the last launch is open", LATER_LAUNCH),
        (
            "jobs have a finish time if and only if they are finished",
            "UPDATE sync_jobs SET finished_at = NULL WHERE state = 'verified'",
        ),
        (
            "jobs have a finish time if and only if they are finished",
            "UPDATE sync_jobs SET finished_at = 'x' WHERE state = 'running'",
        ),
        (
            "verified jobs have every file verified and every byte sent",
            "UPDATE sync_jobs SET bytes_total = 5 WHERE state = 'verified'",
        ),
        (
            "verified jobs have every file verified and every byte sent",
            "INSERT INTO sync_files (job_id, path, size, mtime_ns) VALUES (1, 'x', 1, 1)",
        ),
        (
            "every event continues the previous one and is a legal move",
            "DELETE FROM job_events WHERE to_state = 'verifying'",
        ),
        (
            "the last event of a job matches its state",
            "UPDATE sync_jobs SET state = 'cleaned' WHERE state = 'verified'",
        ),
        ("attempts equal the claims that were not given back", "UPDATE sync_jobs SET attempts = 7"),
        (
            "attempts equal the claims that were not given back",
            (
                "INSERT INTO job_events (job_id, at, from_state, to_state, reason)"
                " VALUES (2, 'x', 'queued', 'running', 'claimed')"
            ),
        ),
        (
            "interruptions equal the quits and machine restarts that interrupted a job",
            "UPDATE sync_jobs SET interruptions = 1 WHERE state = 'running'",
        ),
        (
            "crashes do not exceed the launches that crashed with the job in flight",
            "UPDATE sync_jobs SET crashes = 1 WHERE state = 'running'",
        ),
        (
            "launches ended the way the events of their jobs say",
            (
                "INSERT INTO job_events (job_id, at, from_state, to_state, reason, launch_id)"
                " VALUES (2, 'x', 'running', 'resumable', 'crashed', 1)"
            ),
        ),
        (
            "sessions have a closing time if and only if they are closed",
            (
                "INSERT INTO session_leases (id, kind, label, state, ttl_s, opened_at, renewed_at, expires_at)"
                " VALUES ('s', 'run', 'x', 'aborted', 60, 'a', 'a', 'a')"
            ),
        ),
        ("references point to existing rows", "UPDATE sync_jobs SET session_id = 'nobody' WHERE state = 'verified'"),
        ("the legal moves match this program", "DELETE FROM job_transitions WHERE from_state = 'verified'"),
        ("tables, indexes, triggers and views match this program", "DROP INDEX jobs_unsettled"),
        ("tables, indexes, triggers and views match this program", "CREATE TABLE notes (x)"),
    ],
)
def test_a_row_that_contradicts_the_rules_is_named(store: Store, launch_id: int, fault: str, sql: str) -> None:
    given.bring_to(store, launch_id, JobState.VERIFIED)
    given.bring_to(store, launch_id, JobState.RUNNING)
    found = broken(store, sql)
    assert fault in found
    assert found[fault]


def test_every_budget_adds_up_however_an_attempt_ends(store: Store, launch_id: int) -> None:
    failed = Decision(JobState.QUEUED, "tried again: network", not_before=given.NOW, error_kind=ErrorKind.NETWORK)
    waits = Decision(JobState.QUEUED, "waits: source_changing", attempt_given_back=True, not_before=given.NOW)
    (job_id,) = given.enqueue(store, "a")
    for decision in (failed, waits, failed, given.CUT_OFF):
        assert store.jobs.finish(given.claim(store, launch_id), decision, given.NOW)
    for boot in ("boot-1", "boot-1", "boot-2"):
        given.claim(store, given.launch(store, boot).launch_id)
    recovery = given.launch(store, "boot-2")
    held = given.claim(store, recovery.launch_id)
    assert store.jobs.requeue_claim(held.job_id, held.claim_id)
    given.claim(store, recovery.launch_id)
    row = given.row(store, job_id)
    assert (row["attempts"], row["interruptions"], row["crashes"]) == (3, 2, 2)
    assert broken(store) == {}
    given.launch(store, "boot-2")
    assert given.row(store, job_id)["error_kind"] == "crash_loop"
    assert broken(store) == {}
    assert store.jobs.decide([job_id], OperatorMove.RETRY)
    assert broken(store) == {}


def test_work_that_nobody_will_go_on_with_is_named(store: Store, launch_id: int) -> None:
    given.bring_to(store, launch_id, JobState.RESUMABLE)
    given.execute(store, "INSERT INTO sync_jobs (run_path, destination, enqueued_at, not_before) VALUES"
                " ('/a', 'nas', 'x', '2999-01-01T00:00:00.000Z')")  # fmt: skip
    found = {finding.name: finding.detail for finding in check_rows(store.database, *PROGRESS_RULES) if not finding.ok}
    assert found == {
        "interrupted jobs are queued again by the running launch": "job 1",
        "no job waits longer than the maximum retry delay": "job 2 waits until 2999-01-01T00:00:00.000Z",
    }
    store.launches.drain(launch_id, given.NOW)
    given.execute(store, "UPDATE sync_jobs SET not_before = NULL")
    assert all(finding.ok for finding in check_rows(store.database, *PROGRESS_RULES))


def test_two_pending_jobs_of_one_run_are_named(store: Store) -> None:
    insert = "INSERT INTO sync_jobs (run_path, destination, enqueued_at) VALUES ('/runs/a', 'nas', 'x')"
    found = broken(store, "DROP INDEX jobs_one_unfinished", insert, insert)
    assert found["a run is pending at most once for each destination"] == "jobs 1,2"
    assert found["tables, indexes, triggers and views match this program"] == "missing: index jobs_one_unfinished"


def test_a_thread_that_opens_the_file_while_it_is_away_makes_no_empty_one_in_its_place(store: Store) -> None:
    path = store.database.path
    hidden = path.with_suffix(".hidden")
    store.rows.jobs(limit=1)
    path.rename(hidden)
    seen: list[object] = []

    def look() -> None:
        try:
            seen.append(store.rows.jobs(limit=1))
        except StoreError as error:
            seen.append(error)
            assert not path.exists()
            hidden.rename(path)
            seen.append(store.rows.jobs(limit=1))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert "deleted, moved or replaced" in str(seen[0])
    assert seen[1] == []

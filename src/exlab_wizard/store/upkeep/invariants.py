"""`db check`: damage, and rows that contradict what the schema promises. Reads the whole file, changes nothing.

The invariants are queries that return what breaks them; a healthy database answers every one with no row.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, Literal

from exlab_wizard.domain.job import TRANSITIONS
from exlab_wizard.domain.outcome import LONGEST_WAIT, PAUSED
from exlab_wizard.paths import StateDir
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.sqlite.driver import driver
from exlab_wizard.store.sqlite.values import Row
from exlab_wizard.store.upkeep import migration
from exlab_wizard.store.upkeep.backup import Backups

SHOWN: Final = 5
_FINISHED: Final = "('verified', 'cleaned', 'failed', 'cancelled')"
_IN_FLIGHT: Final = "('running', 'verifying')"

_BY_HAND: Final = "changed with SQL"
_CLAIMED_BY_HAND: Final = "e.to_state = 'running' AND e.reason IS NOT 'claimed'"
_WAS_IN_FLIGHT: Final = f"e.from_state IN {_IN_FLIGHT}"
_CUT_OFF: Final = f"({_WAS_IN_FLIGHT} AND e.to_state = 'resumable' AND e.reason IS NOT '{_BY_HAND}')"
_GIVEN_UP: Final = f"({_WAS_IN_FLIGHT} AND e.to_state = 'failed' AND e.reason = 'failed: crash_loop')"
_PUT_BACK: Final = (
    f"({_WAS_IN_FLIGHT} AND e.to_state = 'queued'"
    f" AND (e.reason GLOB 'waits: *' OR e.reason IN ('no worker held its claim', '{PAUSED}')))"
)


_SINCE_RETRY: Final = (
    " AND e.id > coalesce((SELECT max(r.id) FROM job_events r WHERE r.job_id = j.id"
    " AND r.from_state = 'failed' AND r.to_state = 'queued'), 0)"
)


def _budget(column: str, counted: str, relation: Literal["=", "<="], begin: str = "") -> str:
    """Return the query for jobs whose `column` is not (`relation`) what their events, summed by `counted`, say.

    `begin` may leave out early events. A job that was set running by hand was never counted as claimed: its budgets
    cannot be checked.
    """
    return (
        f"SELECT 'job ' || id || ': {column} is ' || held || ', its events say ' || logged FROM (SELECT j.id,"
        f" j.{column} AS held, (SELECT CASE WHEN max({_CLAIMED_BY_HAND}) THEN NULL ELSE coalesce(sum({counted}), 0) END"
        f" FROM job_events e WHERE e.job_id = j.id{begin}) AS logged FROM sync_jobs j)"
        f" WHERE NOT (held {relation} logged)"
    )


INVARIANTS: Final = tuple(
    {
        "jobs have a claim if and only if they are in flight": (
            f"SELECT 'job ' || id FROM sync_jobs WHERE (state IN {_IN_FLIGHT}) <> (claim_id IS NOT NULL)"
        ),
        # A forced quit that could not mark its rows leaves them to the next launch, which recovers all there are.
        "jobs in flight belong to the last launch, which is running or was forced to quit": (
            "SELECT 'job ' || j.id FROM sync_jobs j LEFT JOIN launches l ON l.id = j.launch_id"
            f" WHERE j.state IN {_IN_FLIGHT} AND (l.id IS NOT (SELECT max(id) FROM launches)"
            " OR coalesce(l.end_reason, 'forced') <> 'forced')"
        ),
        "only the last launch is open": (
            "SELECT 'launch ' || id FROM launches WHERE ended_at IS NULL AND id <> (SELECT max(id) FROM launches)"
        ),
        "a run is pending at most once for each destination": (
            "SELECT 'jobs ' || group_concat(id) FROM sync_jobs"
            " WHERE state NOT IN ('verified', 'cleaned', 'failed', 'cancelled')"
            " GROUP BY run_path, destination HAVING count(*) > 1"
        ),
        "jobs have a finish time if and only if they are finished": (
            f"SELECT 'job ' || id FROM sync_jobs WHERE (state IN {_FINISHED}) <> (finished_at IS NOT NULL)"
        ),
        "verified jobs have every file verified and every byte sent": (
            "SELECT 'job ' || id FROM sync_jobs WHERE state = 'verified' AND (bytes_done <> bytes_total"
            " OR EXISTS (SELECT 1 FROM sync_files f WHERE f.job_id = sync_jobs.id AND f.state <> 'verified'))"
        ),
        "every event continues the previous one and is a legal move": (
            "SELECT 'event ' || id || ' of job ' || job_id FROM (SELECT id, job_id, from_state, to_state,"
            " lag(to_state, 1, 'queued') OVER (PARTITION BY job_id ORDER BY id) AS before FROM job_events) e"
            " WHERE from_state IS NOT before OR NOT EXISTS"
            " (SELECT 1 FROM job_transitions t WHERE t.from_state = e.from_state AND t.to_state = e.to_state)"
        ),
        "the last event of a job matches its state": (
            "SELECT 'job ' || id FROM sync_jobs j WHERE state IS NOT coalesce("
            "(SELECT to_state FROM job_events e WHERE e.job_id = j.id ORDER BY e.id DESC LIMIT 1), 'queued')"
        ),
        # A job retried by an operator begins with fresh budgets.
        "attempts equal the claims that were not given back": _budget(
            "attempts", f"(e.to_state = 'running') - ({_CUT_OFF} OR {_PUT_BACK} OR {_GIVEN_UP})", "=", _SINCE_RETRY
        ),
        "interruptions equal the quits and machine restarts that interrupted a job": _budget(
            "interruptions", f"{_CUT_OFF} AND e.reason <> 'crashed'", "="
        ),
        # Progress clears the count.
        "crashes do not exceed the launches that crashed with the job in flight": _budget(
            "crashes", f"({_CUT_OFF} AND e.reason = 'crashed') OR {_GIVEN_UP}", "<=", _SINCE_RETRY
        ),
        "launches ended the way the events of their jobs say": (
            "SELECT 'event ' || e.id || ' of job ' || e.job_id FROM job_events e"
            f" LEFT JOIN launches l ON l.id = e.launch_id WHERE {_CUT_OFF}"
            " AND e.reason IN ('crashed', 'host_restarted') AND l.end_reason IS NOT e.reason"
        ),
        "sessions have a closing time if and only if they are closed": (
            "SELECT 'session ' || id FROM session_leases WHERE (state <> 'active') <> (closed_at IS NOT NULL)"
        ),
    }.items()
)

PROGRESS_RULES: Final = tuple(
    {
        "interrupted jobs are queued again by the running launch": (
            "SELECT 'job ' || j.id FROM sync_jobs j, launches l WHERE j.state = 'resumable'"
            " AND l.id = (SELECT max(id) FROM launches) AND l.ended_at IS NULL AND l.draining_since IS NULL"
        ),
        "no job waits longer than the maximum retry delay": (
            "SELECT 'job ' || id || ' waits until ' || not_before FROM sync_jobs WHERE state = 'queued'"
            f" AND not_before > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+{LONGEST_WAIT.total_seconds():.0f} seconds')"
        ),
    }.items()
)
"""Rules without which a job would not finish automatically."""


@dataclass(frozen=True, slots=True)
class InvariantResult:
    """The result of one rule; `detail` says what is wrong, and is empty if nothing is."""

    name: str
    ok: bool
    detail: str


def check(database: Database, *rules: tuple[str, str]) -> list[InvariantResult]:
    """Check everything, and more `rules` of the form of `INVARIANTS`; return each result, good or bad.

    Raises:
        StoreError: the file is of another schema, or too damaged to be read.
    """
    migration.require_current(database)
    schema_checks: list[tuple[str, Callable[[], str]]] = [
        ("the legal moves match this program", lambda: _other_moves(database)),
        ("tables, indexes, triggers and views match this program", lambda: _other_objects(database)),
    ]
    return [*check_rows(database, *rules), *(_result(name, read) for name, read in schema_checks)]


def check_rows(database: Database, *rules: tuple[str, str]) -> list[InvariantResult]:
    """Check the file and its rows, and more `rules` of the form of `INVARIANTS`."""
    checks: list[tuple[str, Callable[[], str]]] = [
        ("the file is undamaged", lambda: _broken(database, f"PRAGMA integrity_check({SHOWN + 1})", [("ok",)])),
        ("references point to existing rows", lambda: _broken(database, "PRAGMA foreign_key_check", [])),
        *((name, partial(_broken, database, sql, [])) for name, sql in (*INVARIANTS, *rules)),
    ]
    return [_result(name, read) for name, read in checks]


def _result(name: str, read: Callable[[], str]) -> InvariantResult:
    try:
        detail = read()
    except driver.DatabaseError as error:
        detail = str(error)
    return InvariantResult(name, ok=not detail, detail=detail)


def _broken(database: Database, sql: str, good: list[Row]) -> str:
    rows: list[Row] = database.connection().execute(sql).fetchmany(SHOWN + 1)
    if rows == good:
        return ""
    shown = "; ".join(" ".join(str(value) for value in row) for row in rows[:SHOWN])
    return shown + (" and more" if len(rows) > SHOWN else "")


def _other_moves(database: Database) -> str:
    held = database.connection().execute("SELECT from_state, to_state, meaning FROM job_transitions").fetchall()
    return _difference({(*move, meaning) for move, meaning in TRANSITIONS.items()}, set(held))


def _other_objects(database: Database) -> str:
    """Compare with a database that is made now; the text of every object counts."""
    sql = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
    held = database.connection().execute(sql).fetchall()
    with tempfile.TemporaryDirectory(prefix="exlab-wizard-") as folder:
        state_dir = StateDir(Path(folder))
        fresh = Database(state_dir.database)
        try:
            migration.upgrade(fresh, Backups(state_dir), datetime.now(UTC))
            wanted = fresh.connection().execute(sql).fetchall()
        finally:
            fresh.close()
    return _difference(set(wanted), set(held))


def _difference(wanted: set[Row], held: set[Row]) -> str:
    absent, strange = ({" ".join(map(str, row[:2])) for row in rows} for rows in (wanted - held, held - wanted))
    named = (("missing", absent - strange), ("changed", absent & strange), ("unknown", strange - absent))
    return "; ".join(f"{word}: {', '.join(sorted(names)[:SHOWN])}" for word, names in named if names)

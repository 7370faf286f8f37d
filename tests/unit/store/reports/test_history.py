"""All jobs there ever were can be searched, a bounded stretch at a time; charts read the last days only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.support import given
from tests.unit.store.test_plans import plan

from exlab_wizard.domain.files import FileRecord, FileState
from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.views import SessionKind
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.store.queue.sessions import NewSession
from exlab_wizard.store.reports import history, metrics, rows
from exlab_wizard.store.reports.history import Search
from exlab_wizard.store.store import Store

MANY = 20_000
DAY = timedelta(days=1)


@pytest.fixture
def filled(store: Store) -> Store:
    """20,000 jobs, one a minute up to `NOW`; number 7 failed, `run-00003` has a name of its own."""
    given.launch(store)
    given.execute(
        store,
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY})"
        " INSERT INTO sync_jobs (id, run_path, destination, equipment_id, state, enqueued_at, finished_at, verified_at,"
        " bytes_total) SELECT i, iif(i = 3, '/data/50% of_it!', printf('/data/Run-%05d', i)), iif(i % 2, 'nas', 'old'),"
        " iif(i % 5, 'scope', 'tof'), iif(i = 7, 'failed', 'verified'), at, at, at, i FROM (SELECT i,"
        f" strftime('%Y-%m-%dT%H:%M:%fZ', '2026-03-01T12:00:00', '-' || ({MANY} - i) || ' minutes') AS at FROM n)",
    )
    given.execute(
        store,
        "INSERT INTO job_events (job_id, at, from_state, to_state, reason)"
        " SELECT id, enqueued_at, 'verifying', state, 'x' FROM sync_jobs ORDER BY id",
    )
    return store


def ids(store: Store, search: Search, *, seconds: float = 30.0) -> list[object]:
    """Every match, page after page, stretch after stretch."""
    found: list[object] = []
    before: int | None = None
    for _ in range(1_000):
        page = store.history.search(search, limit=50, before=before, seconds=seconds)
        found += [job.id for job in page.jobs]
        before = page.following
        if before is None:
            return found
    raise AssertionError("a search that never ends")


def test_pages_come_newest_first_and_hold_every_job_once(filled: Store) -> None:
    first = filled.history.search(Search(), limit=50)
    assert [job.id for job in first.jobs] == list(range(MANY, MANY - 50, -1))
    assert not first.cut
    assert ids(filled, Search(destination="old", equipment="tof")) == list(range(MANY, 0, -10))


def test_the_last_page_says_that_it_is_the_last(filled: Store) -> None:
    page = filled.history.search(Search(), limit=50, before=51)
    assert len(page.jobs) == 50
    assert page.following is None


@pytest.mark.parametrize(
    ("search", "wanted"),
    [
        (Search("run-00042"), [42]),
        (Search("50% of"), [3]),
        (Search("5_%"), []),
        (Search("of_it!"), [3]),
        (Search("RUN-0001", destination="nas"), list(range(19, 9, -2))),
        (Search(state=JobState.FAILED), [7]),
        (Search(state=JobState.RUNNING), []),
        (Search("nothing of the kind"), []),
    ],
)
def test_a_search_finds_what_it_should_and_takes_wildcards_for_letters(
    filled: Store, search: Search, wanted: list[int]
) -> None:
    assert ids(filled, search) == wanted


def test_a_run_is_found_by_the_label_of_its_session(store: Store) -> None:
    launch_id = given.launch(store).launch_id
    store.sessions.open(NewSession(SessionKind.RUN, "Probe Nr. 5", 60, id="session-5"), launch_id, given.NOW)
    store.sessions.complete("session-5", [NewJob("/data/x", "nas", session_id="session-5")], given.NOW)
    given.enqueue(store, "other")
    (found,) = store.history.search(Search("probe nr"), limit=5).jobs
    assert (found.run_path, found.label) == ("/data/x", "Probe Nr. 5")


def test_a_name_that_is_not_unicode_is_found_and_shown(store: Store) -> None:
    store.jobs.enqueue(NewJob("/data/caf\udce9-17", "nas"), given.NOW)
    (found,) = store.history.search(Search("-17"), limit=5).jobs
    assert found.run_path == "/data/caf\udce9-17"
    (same,) = store.history.of_run("/data/caf\udce9-17").jobs
    assert same.id == found.id


def test_dates_narrow_the_search_and_cost_no_reading_of_what_is_newer(filled: Store) -> None:
    since = given.NOW - 10 * DAY
    search = Search(since=since, until=since + timedelta(minutes=5))
    assert ids(filled, search) == [MANY - 14_400 + minute for minute in (4, 3, 2, 1, 0)]
    narrow = given.steps_of(filled, lambda: filled.history.search(search, limit=50))
    whole = given.steps_of(filled, lambda: filled.history.search(Search("nothing"), limit=50, seconds=30))
    assert narrow < whole / 4


def test_a_search_whose_time_is_over_says_how_far_it_came_and_goes_on_from_there(filled: Store) -> None:
    page = filled.history.search(Search("run-00042"), limit=50, seconds=0)
    assert (page.jobs, page.cut) == ([], True)
    assert page.following == MANY + 1 - history.FIRST_STRETCH
    assert ids(filled, Search("run-00042"), seconds=0) == [42]


def test_gaps_between_ids_are_stepped_over(store: Store) -> None:
    given.enqueue(store, "first")
    given.execute(store, "UPDATE sync_jobs SET id = 900000000000 WHERE id = 1")
    given.execute(
        store, "INSERT INTO sync_jobs (id, run_path, destination, enqueued_at) VALUES (5, '/data/old', 'nas', '')"
    )
    page = store.history.search(Search(), limit=50)
    assert ([job.id for job in page.jobs], page.following) == ([900_000_000_000, 5], None)


def test_what_is_unsettled_is_found_by_its_index_however_long_ago(filled: Store) -> None:
    for statement in history.SEARCH_UNSETTLED.values():
        assert any("USING INDEX jobs_unsettled (state=?" in step for step in plan(filled, statement))
    found = given.steps_of(filled, lambda: filled.history.search(Search(state=JobState.FAILED), limit=50))
    assert found < 5_000


def test_every_read_goes_by_id_and_sorts_nothing(store: Store) -> None:
    wanted = {
        history.SEARCH: "SEARCH j USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        history.OF_RUN: "SEARCH sync_jobs USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        history.PENDING_OF_RUN: "SEARCH sync_jobs USING INDEX jobs_one_unfinished (run_path=?)",
        history.NEXT_BELOW: "SEARCH sync_jobs USING INTEGER PRIMARY KEY (rowid<?)",
        history.QUEUED_AT: "SEARCH sync_jobs USING INTEGER PRIMARY KEY (rowid>?)",
        rows.FILES: "SEARCH sync_files USING PRIMARY KEY (job_id=? AND path>?)",
        metrics.VERIFIED: "SEARCH e USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        metrics.MOVE_BELOW: "SEARCH job_events USING INTEGER PRIMARY KEY (rowid<?)",
    }
    for statement, step in wanted.items():
        steps = plan(store, statement)
        assert any(step in one for one in steps), steps
        assert statement in (metrics.VERIFIED, history.PENDING_OF_RUN) or not any("B-TREE" in one for one in steps)


def test_jobs_of_a_run_are_found_pending_ones_at_once(filled: Store) -> None:
    pending = filled.jobs.enqueue(NewJob("/data/Run-00042", "nas"), given.NOW).job_id
    everything = filled.history.of_run("/data/Run-00042", seconds=30)
    assert [job.id for job in everything.jobs] == [pending, 42]
    at_once = filled.history.of_run("/data/Run-00042", seconds=0)
    assert ([job.id for job in at_once.jobs], at_once.cut) == ([pending], True)


def test_bytes_are_counted_by_the_quarter_in_which_runs_were_verified(filled: Store) -> None:
    found = filled.metrics.verified(given.NOW - timedelta(minutes=30))
    assert found.complete_since == given.NOW - timedelta(minutes=30)
    assert [(quarter.at.strftime("%H:%M"), quarter.runs) for quarter in found.quarters] == [
        ("11:30", 15), ("11:45", 15), ("12:00", 1),
    ]  # fmt: skip
    assert found.quarters[-1].size == MANY
    assert found.quarters[0].at == datetime(2026, 3, 1, 11, 30, tzinfo=UTC)


def test_what_failed_is_not_counted_and_too_much_to_read_is_said(filled: Store) -> None:
    month = filled.metrics.verified(given.NOW - 30 * DAY, seconds=30)
    assert sum(quarter.runs for quarter in month.quarters) == MANY - 1
    cut = filled.metrics.verified(given.NOW - 30 * DAY, seconds=0)
    assert cut.complete_since == given.NOW
    assert cut.quarters == []


def test_charts_of_an_empty_database_are_empty(store: Store) -> None:
    assert store.metrics.verified(given.NOW).quarters == []
    assert store.metrics.drain_durations(limit=30) == []


def test_drains_are_those_that_ended_the_application(store: Store) -> None:
    given.execute(
        store,
        "INSERT INTO launches (id, host, boot_id, pid, process_started_at, version, started_at, draining_since,"
        " ended_at, end_reason) VALUES"
        " (1, '', '', 1, '', '', '', '2026-03-01T10:00:00.000Z', '2026-03-01T10:00:02.500Z', 'drained'),"
        " (2, '', '', 1, '', '', '', NULL, '2026-03-01T10:00:02.500Z', 'crashed'),"
        " (3, '', '', 1, '', '', '', '2026-03-01T10:00:09.000Z', '2026-03-01T10:00:02.500Z', 'forced'),"
        " (4, '', '', 1, '', '', '', '2026-03-01T10:00:09.000Z', NULL, NULL)",
    )
    found = [
        (drain.draining_since.second, drain.end_reason, drain.took_s)
        for drain in store.metrics.drain_durations(limit=30)
    ]
    assert found == [(9, "forced", 0), (0, "drained", 2.5)]  # the clock was set back in the third


def test_files_come_in_pages_in_the_order_of_their_names(store: Store, launch_id: int) -> None:
    given.enqueue(store, "files")
    job = given.claim(store, launch_id)
    names = ["a", "b/c", "caf\udce9", "z"]
    files = [FileRecord(name, 5, 1, FileState.COPIED, 5, None, "aa") for name in names]
    assert store.files.checkpoint(job.job_id, job.claim_id, files, [], given.progress(5))
    seen: list[object] = []
    after: str | None = ""
    while after is not None:
        page, after = store.rows.files(job.job_id, limit=1, after=after)
        seen += [file.path for file in page]
    assert sorted(map(str, seen)) == sorted(names)
    assert len(seen) == len(names)

"""The one transaction in which a launch takes over what the last one left."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import given

from exlab_wizard.domain.clock import to_text
from exlab_wizard.domain.job import ErrorKind, JobState
from exlab_wizard.domain.outcome import CRASH_LIMIT, Decision
from exlab_wizard.domain.views import LeaseState, SessionKind
from exlab_wizard.paths import StateDir
from exlab_wizard.store.queue.claims import ClaimedJob
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.store.queue.sessions import NewSession
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.store import Store
from exlab_wizard.store.upkeep.invariants import check

ROOT = Path(__file__).resolve().parents[4]
BUDGETS = ("state", "attempts", "interruptions", "crashes", "claim_id")


def budgets(store: Store, job_id: int) -> list[object]:
    found = given.row(store, job_id)
    return [found[name] for name in BUDGETS]


@pytest.mark.parametrize(
    ("boot_id", "reason", "counted"), [(given.BOOT, "crashed", [0, 0, 1]), ("boot-2", "host_restarted", [0, 1, 0])]
)
def test_what_was_in_flight_is_queued_again_and_only_a_crash_counts_against_it(
    store: Store, launch_id: int, boot_id: str, reason: str, counted: list[int]
) -> None:
    given.enqueue(store, "running", "verifying")
    running, verifying = given.claim(store, launch_id), given.claim(store, launch_id)
    assert store.jobs.all_sent(verifying.job_id, verifying.claim_id)
    found = given.launch(store, boot_id)
    assert (found.crashed, found.host_restarted) == (reason == "crashed", reason == "host_restarted")
    assert (found.cut_off, found.resumed, found.crash_loops) == (2, 2, 0)
    for job, state in ((running, "running"), (verifying, "verifying")):
        assert budgets(store, job.job_id) == ["queued", *counted, None]
        assert given.moves(store, job.job_id)[-2:] == [(state, "resumable"), ("resumable", "queued")]
        assert {event.reason for event in store.rows.events(job.job_id)[-2:]} == {reason}
    ended = given.execute(store, f"SELECT end_reason, ended_at FROM launches WHERE id = {launch_id}")
    assert ended == [(reason, "2026-03-01T12:00:00.000Z")]
    assert all(finding.ok for finding in check(store.database))


def test_a_job_put_off_by_a_clock_that_was_years_ahead_is_due_again(store: Store, launch_id: int) -> None:
    ahead, soon = given.enqueue(store, "ahead", "soon")
    for not_before in (given.later(10 * 365 * 86_400), given.later(7200)):
        waits = Decision(JobState.QUEUED, "waits: source_changing", attempt_given_back=True, not_before=not_before)
        assert store.jobs.finish(given.claim(store, launch_id), waits, given.NOW)
    given.launch(store)
    assert given.row(store, ahead)["not_before"] is None
    assert given.row(store, soon)["not_before"] == to_text(given.later(7200))


def test_what_a_forced_quit_could_not_mark_is_an_interruption(store: Store, launch_id: int) -> None:
    (job_id,) = given.enqueue(store, "a")
    given.claim(store, launch_id)
    store.launches.end(launch_id, "forced", given.NOW)
    found = given.launch(store)
    assert (found.crashed, found.resumed) == (False, 1)
    assert budgets(store, job_id) == ["queued", 0, 1, 0, None]
    assert given.moves(store, job_id)[-2:] == [("running", "resumable"), ("resumable", "queued")]


def test_what_a_quit_marked_is_queued_without_being_counted_again(store: Store, launch_id: int) -> None:
    job_id = given.bring_to(store, launch_id, JobState.RESUMABLE)
    assert given.launch(store).resumed == 1
    assert budgets(store, job_id) == ["queued", 0, 1, 0, None]


def test_resumed_work_goes_before_new_work_of_the_same_priority(store: Store, launch_id: int) -> None:
    (old,) = given.enqueue(store, "old")
    given.claim(store, launch_id)
    (new,) = given.enqueue(store, "new")
    following = given.launch(store).launch_id
    assert [given.claim(store, following).job_id for _ in range(2)] == [old, new]


def test_a_job_that_kills_every_launch_is_given_up_and_the_others_complete(store: Store, launch_id: int) -> None:
    """Both workers are busy when the guilty job kills the process; the innocent one must not be given up with it."""
    guilty, innocent = given.enqueue(store, "guilty", "innocent")
    current = launch_id
    for crash in range(1, CRASH_LIMIT):
        assert {given.claim(store, current).job_id for _ in range(2)} == {guilty, innocent}
        found = given.launch(store)
        current = found.launch_id
        assert found.crash_loops == 0
        assert [given.row(store, job_id)["crashes"] for job_id in (guilty, innocent)] == [crash, crash]
    assert given.claim(store, current).job_id == guilty
    assert store.jobs.claim(current, given.NOW) is None, "suspects run one at a time"
    (fresh,) = given.enqueue(store, "fresh")
    assert given.claim(store, current).job_id == fresh, "who is no suspect runs beside them"
    found = given.launch(store)
    assert (found.crash_loops, found.resumed) == (1, 1)
    failed = given.row(store, guilty)
    assert [failed[name] for name in ("state", "error_kind", "crashes")] == ["failed", "crash_loop", CRASH_LIMIT]
    assert failed["finished_at"] is not None
    assert "Check the log" in str(failed["error_detail"])
    assert given.row(store, innocent)["state"] == "queued"
    job = given.claim(store, found.launch_id)
    assert job.job_id == innocent
    assert store.jobs.all_sent(job.job_id, job.claim_id)
    assert store.jobs.finish(job, given.DONE, given.NOW)
    assert all(finding.ok for finding in check(store.database))


def checkpoint(store: Store, job: ClaimedJob, done: int, verified: int = 0) -> None:
    assert store.files.checkpoint(job.job_id, job.claim_id, [], [], given.progress(done, verified=verified))


def test_progress_clears_the_crashes_and_doing_lost_bytes_again_does_not(store: Store, launch_id: int) -> None:
    (job_id,) = given.enqueue(store, "a")
    job = given.claim(store, launch_id)
    checkpoint(store, job, 50)
    job = given.claim(store, given.launch(store).launch_id)
    assert given.row(store, job_id)["crashes"] == 1
    checkpoint(store, job, 0)  # the destination lost them
    checkpoint(store, job, 50)
    assert given.row(store, job_id)["crashes"] == 1
    checkpoint(store, job, 51)
    assert given.row(store, job_id)["crashes"] == 0


def test_reading_back_is_progress_too(store: Store, launch_id: int) -> None:
    (job_id,) = given.enqueue(store, "a")
    checkpoint(store, given.claim(store, launch_id), 100)
    job = given.claim(store, given.launch(store).launch_id)
    checkpoint(store, job, 100, verified=10)
    assert given.row(store, job_id)["crashes"] == 0


def test_active_sessions_get_a_fresh_ttl_and_closed_ones_stay_closed(store: Store, launch_id: int) -> None:
    lease = store.sessions.open(NewSession(SessionKind.RUN, "scan", 60), launch_id, given.NOW)
    gone = store.sessions.open(NewSession(SessionKind.RUN, "scan", 60), launch_id, given.NOW)
    assert store.sessions.abort(gone.id, given.NOW)
    assert given.launch(store, at=given.later(500)).sessions == 1
    found = store.sessions.find(lease.id)
    assert found is not None
    assert (found.state, found.expires_at) == (LeaseState.ACTIVE, given.later(560))
    assert store.sessions.renew(lease.id, given.later(550)) == given.later(610)
    closed = store.sessions.find(gone.id)
    assert closed is not None
    assert closed.state is LeaseState.ABORTED


def test_a_launch_after_a_clean_end_finds_nothing_to_recover(store: Store, launch_id: int) -> None:
    job_id = given.bring_to(store, launch_id, JobState.VERIFIED)
    waiting = given.bring_to(store, launch_id, JobState.QUEUED)
    store.launches.end(launch_id, "drained", given.NOW)
    before = given.row(store, job_id), given.row(store, waiting)
    found = given.launch(store)
    assert (found.crashed, found.host_restarted, found.resumed, found.crash_loops, found.sessions) == (False,) * 2 + (
        0,
    ) * 3
    assert (given.row(store, job_id), given.row(store, waiting)) == before


def test_a_launch_of_long_ago_with_a_wrong_clock_lets_no_later_one_retry_at_once(store: Store, launch_id: int) -> None:
    """Else each restart would burn a retry: six restarts, and a NAS that is away for an hour has failed the job."""
    store.launches.end(launch_id, "drained", given.later(10 * 365 * 86_400))
    set_right = given.launch(store).launch_id
    (job_id,) = given.enqueue(store, "a")
    later = Decision(JobState.QUEUED, "tried again: network", not_before=given.later(30), error_kind=ErrorKind.NETWORK)
    assert store.jobs.finish(given.claim(store, set_right), later, given.NOW)
    for second in range(1, 6):
        current = given.launch(store, at=given.later(second)).launch_id
        assert store.jobs.claim(current, given.later(second)) is None
    assert given.row(store, job_id)["attempts"] == 1


def test_launches_that_never_became_healthy_are_told_from_those_that_did(store: Store, launch_id: int) -> None:
    second, third, fourth = (given.launch(store).launch_id for _ in range(3))
    assert store.launches.unhealthy_streak(fourth, 3)
    assert not store.launches.unhealthy_streak(third, 3), "there were only two before it"
    store.launches.mark_healthy(fourth, given.NOW)
    assert not store.launches.unhealthy_streak(given.launch(store).launch_id, 3)
    assert launch_id < second


# For each number that it reads, a fresh process recovers and is killed at the statement of that number.
KILLED_INSIDE = """
import os, signal, sys
from pathlib import Path
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.store import Store
from tests.support import given

def recover(deadly: int) -> None:
    statements = 0

    def look(text: str) -> None:
        nonlocal statements
        statements += not text.startswith("--")
        if statements == deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    database = Database(Path(sys.argv[1]))
    database.connection().set_trace_callback(look)
    given.launch(Store(database))
    os._exit(0)

for line in sys.stdin:
    child = os.fork() or recover(int(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def what_stands(store: Store) -> list[list[tuple[object, ...]]]:
    """Everything that recovery decides; not the log, whose times are of the day."""
    return [
        [tuple(row) for row in given.execute(store, sql)]
        for sql in (
            "SELECT * FROM sync_jobs ORDER BY id",
            "SELECT job_id, from_state, to_state, reason FROM job_events ORDER BY id",
            "SELECT id, end_reason, ended_at, jobs_resumed FROM launches ORDER BY id",
            "SELECT id, state, expires_at FROM session_leases ORDER BY id",
        )
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="no fork and no SIGKILL there")
def test_killed_anywhere_inside_recovery_and_run_again_gives_the_same_result(
    store: Store, launch_id: int, place: StateDir, tmp_path: Path
) -> None:
    """A real SIGKILL at each statement in turn, from BEGIN to COMMIT."""
    ids = given.enqueue(store, "suspect", "b", "c")
    for _ in ids:
        given.claim(store, launch_id)
    given.execute(store, f"UPDATE sync_jobs SET crashes = 2 WHERE id = {ids[0]}")
    store.sessions.open(NewSession(SessionKind.RUN, "scan", 60, id="lease"), launch_id, given.NOW)
    given.bring_to(store, launch_id, JobState.RESUMABLE)
    before = what_stands(store)
    expected_file = tmp_path / "expected.db"
    given.execute(store, f"VACUUM INTO '{expected_file}'")
    expected_store = Store(Database(expected_file))
    given.launch(expected_store)
    expected = what_stands(expected_store)
    expected_store.close()
    assert expected != before

    kills = 0
    command = [sys.executable, "-c", KILLED_INSIDE, str(place.database)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        while True:
            process.stdin.write(f"{kills + 1}\n")
            process.stdin.flush()
            status = int(process.stdout.readline())
            if status == 0:
                break
            assert status == -signal.SIGKILL
            kills += 1
            assert what_stands(store) == before, f"killed at statement {kills}: half of it stands"
    assert kills >= 8, "BEGIN, the six statements and COMMIT: the kills did not land"
    assert what_stands(store) == expected


def test_a_recovered_launch_can_be_recovered_again(store: Store, launch_id: int) -> None:
    store.jobs.enqueue(NewJob("/runs/a", "nas"), given.NOW)
    given.claim(store, launch_id)
    first = given.launch(store, "boot-2")
    jobs = what_stands(store)[0]
    second = given.launch(store, "boot-3")
    assert (second.resumed, second.cut_off) == (0, 0)
    assert what_stands(store)[0] == jobs
    assert second.launch_id > first.launch_id


def test_a_time_of_the_last_launch_written_by_hand_stops_no_launch_and_moves_no_delay(store: Store) -> None:
    given.launch(store)
    (job,) = given.enqueue(store, "a")
    later = to_text(given.later(60))
    given.execute(store, f"UPDATE sync_jobs SET not_before = '{later}' WHERE id = {job}")
    given.execute(store, "UPDATE launches SET started_at = 'soon'")
    given.launch(store)
    assert given.row(store, job)["not_before"] == later

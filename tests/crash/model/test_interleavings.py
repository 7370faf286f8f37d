"""Two or three processes at once, in every order of their steps: the outcome is never one that the rules forbid.

Each test says how many orders there are: the scheduler may not lose any.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from tests.crash.model.schedule import Played, interleave
from tests.support import given

from exlab_wizard.domain.job import JobState, OperatorMove, WaitReason
from exlab_wizard.domain.quit import QuitOutcome, QuitTrigger
from exlab_wizard.domain.views import LeaseState, SessionKind
from exlab_wizard.errors import MoveRefusedError
from exlab_wizard.store.queue.claims import ClaimedJob
from exlab_wizard.store.queue.jobs import Enqueued, NewJob
from exlab_wizard.store.queue.launches import Recovery
from exlab_wizard.store.queue.sessions import NewSession
from exlab_wizard.store.store import Store

pytestmark = pytest.mark.slow

SCAN = NewSession(SessionKind.RUN, "scan", 60.0, id="scan")


def budgets(store: Store, job_id: int) -> list[object]:
    found = given.row(store, job_id)
    return [found[name] for name in ("state", "attempts", "interruptions", "crashes")]


def claims(launch_id: int) -> Callable[[Store], ClaimedJob | None]:
    return lambda process: process.jobs.claim(launch_id, given.NOW)


def work_off(process: Store, job: ClaimedJob) -> list[bool]:
    """Do what a worker does with its claim, each step in a transaction of its own, and return which were taken."""
    return [
        process.files.checkpoint(job.job_id, job.claim_id, [], [], given.progress(100, verified=100)),
        process.jobs.all_sent(job.job_id, job.claim_id),
        process.jobs.finish(job, given.DONE, given.NOW),
    ]


def works(launch_id: int) -> Callable[[Store], list[bool]]:
    """Claim one job and work it off."""

    def work(process: Store) -> list[bool]:
        job = process.jobs.claim(launch_id, given.NOW)
        return [] if job is None else work_off(process, job)

    return work


def drains(launch_id: int) -> Callable[[Store], list[bool]]:
    """Close the gate, and ask twice whether all is idle."""

    def drain(process: Store) -> list[bool]:
        process.launches.drain(launch_id, given.NOW)
        return [process.drain.count(given.NOW).idle for _ in range(2)]

    return drain


def held_to_the_end(taken: object) -> bool:
    """Whether a worker kept its claim; once it has lost it, nothing of it may be taken any more."""
    assert isinstance(taken, list)
    assert taken == sorted(taken, reverse=True), "a superseded worker wrote"
    return all(taken)


# claims


def test_of_several_workers_exactly_one_gets_a_job(store: Store, launch_id: int) -> None:
    (only,) = given.enqueue(store, "only")

    def check(played: Played, after: Store) -> None:
        claimed = [job for job in played.results.values() if isinstance(job, ClaimedJob)]
        assert [job.job_id for job in claimed] == [only]
        assert given.row(after, only)["claim_id"] == claimed[0].claim_id
        assert budgets(after, only) == ["running", 1, 0, 0]

    assert interleave(store, dict.fromkeys(("a", "b", "c"), claims(launch_id)), check) == 6


def test_two_suspects_are_never_in_flight_together(store: Store, launch_id: int) -> None:
    suspects, current = given.enqueue(store, "suspect", "other-suspect"), launch_id
    for _crash in range(2):
        assert sorted(given.claim(store, current).job_id for _ in suspects) == suspects
        current = given.launch(store).launch_id
    given.enqueue(store, "fresh")

    def claim_twice(process: Store) -> list[ClaimedJob | None]:
        return [process.jobs.claim(current, given.NOW) for _ in range(2)]

    def check(_played: Played, after: Store) -> None:
        assert [given.row(after, job)["state"] for job in suspects] == ["running", "queued"]
        assert after.drain.count(given.NOW).in_flight_jobs == 2

    assert interleave(store, dict.fromkeys(("a", "b"), claim_twice), check) == 6


def test_a_run_that_is_queued_by_two_and_finished_meanwhile_is_pending_once_or_done(
    store: Store, launch_id: int
) -> None:
    given.enqueue(store, "a")
    job = given.claim(store, launch_id)
    work_off(store, job)
    given.enqueue(store, "a")
    job = given.claim(store, launch_id)

    def enqueue(process: Store) -> Enqueued:
        return process.jobs.enqueue(NewJob("/runs/a", "nas"), given.NOW)

    def check(played: Played, after: Store) -> None:
        queued = [one for one in played.results.values() if isinstance(one, Enqueued)]
        assert len(queued) == 2
        new = {one.job_id for one in queued} - {job.job_id}
        assert len(new) == sum(one.created for one in queued) <= 1
        pending = "SELECT id FROM sync_jobs WHERE finished_at IS NULL"
        assert given.execute(after, pending) == [(number,) for number in new]

    acts = {"worker": lambda process: work_off(process, job), "sync": enqueue, "session": enqueue}
    # Whoever finds the run pending takes a second step, so the number of orders is no binomial.
    assert interleave(store, acts, check) == 200


# quits


def test_no_claim_follows_the_closed_gate_and_idle_is_never_a_lie(store: Store, launch_id: int) -> None:
    given.enqueue(store, "a", "b")

    def go_on(process: Store) -> list[ClaimedJob | None]:
        first = process.jobs.claim(launch_id, given.NOW)
        if first is None:
            return [None]
        process.jobs.all_sent(first.job_id, first.claim_id)
        return [first, None, process.jobs.finish_and_claim(first, given.DONE, launch_id, given.NOW)[1]]

    def check(played: Played, after: Store) -> None:
        closed = played.place("quit", "UPDATE launches")
        for name in ("worker", "other"):
            for nth, job in enumerate(played.listed(name)):
                late = played.place(name, "BEGIN", nth) > closed
                assert not (late and job), "claimed after the commit that closed the gate"
        left = after.drain.count(given.NOW).in_flight_jobs
        assert not (any(played.listed("quit")) and left), "the predicate said idle and work went on"

    acts = {
        "worker": go_on,
        "quit": drains(launch_id),
        "other": lambda process: [process.jobs.claim(launch_id, given.NOW)],
    }
    assert interleave(store, acts, check) == 85


def test_a_forced_quit_and_the_worker_that_it_cuts_off_agree_on_who_was_first(store: Store, launch_id: int) -> None:
    (job_id,) = given.enqueue(store, "a")

    def force(process: Store) -> int:
        process.launches.drain(launch_id, given.NOW)
        marked = process.jobs.interrupt_launch(launch_id, "cut off by a quit")
        process.launches.end(launch_id, "forced", given.NOW)
        return marked

    def check(played: Played, after: Store) -> None:
        taken, marked = played.results["worker"], played.results["quit"]
        if not taken:
            expected = ["queued", 0, 0, 0]
        elif held_to_the_end(taken):
            expected = ["verified", 1, 0, 0]
        else:
            expected = ["resumable", 0, 1, 0]
        assert budgets(after, job_id) == expected
        assert marked == (expected[0] == "resumable")
        assert after.drain.count(given.NOW).idle

    assert interleave(store, {"worker": works(launch_id), "quit": force}, check) == 23


def test_a_request_to_quit_is_decided_or_still_seen_never_lost(store: Store, launch_id: int) -> None:
    def ask(process: Store) -> int:
        return process.quits.request(launch_id, QuitTrigger.CLI, given.NOW)

    def decide(process: Store) -> None:
        process.launches.drain(launch_id, given.NOW)
        process.quits.decide(launch_id, QuitOutcome.KEPT_RUNNING, given.NOW)
        process.launches.reopen(launch_id)

    def check(played: Played, after: Store) -> None:
        decided = played.place("quit", "UPDATE quit_requests")
        for name in ("tray", "shell"):
            number = played.results[name]
            assert isinstance(number, int)
            late = played.place(name, "INSERT INTO quit_requests") > decided
            assert (number in {one.id for one in after.quits.undecided(launch_id)}) == late
            assert (after.quits.read(number).outcome is None) == late

    assert interleave(store, {"tray": ask, "shell": ask, "quit": decide}, check) == 20


# recovery


def test_a_launch_that_recovers_and_a_worker_that_is_not_dead_never_both_finish_a_job(
    store: Store, launch_id: int
) -> None:
    """The instance lock keeps this from happening; were it passed by, still nothing would be done twice."""
    (job_id,) = given.enqueue(store, "a")
    zombie = given.claim(store, launch_id)

    def take_over(process: Store) -> list[bool]:
        return works(given.launch(process).launch_id)(process)

    def check(played: Played, after: Store) -> None:
        kept = held_to_the_end(played.results["zombie"])
        assert held_to_the_end(played.results["new"]) != kept or played.results["new"] == []
        found = given.row(after, job_id)
        assert (found["state"], found["verify_passes"]) == ("verified", 1)
        assert [target for _, target in given.moves(after, job_id)].count("verified") == 1
        assert budgets(after, job_id)[1:3] == [1, 0]

    assert interleave(store, {"zombie": lambda process: work_off(process, zombie), "new": take_over}, check) == 56


def test_a_second_instance_that_recovers_too_counts_no_crash_twice(store: Store, launch_id: int) -> None:
    jobs = given.enqueue(store, "a", "b")
    for _ in jobs:
        given.claim(store, launch_id)

    def check(played: Played, after: Store) -> None:
        found = [one for one in played.results.values() if isinstance(one, Recovery)]
        assert sorted(one.cut_off for one in found) == [0, 2]
        assert [budgets(after, job) for job in jobs] == [["queued", 0, 0, 1]] * 2

    assert interleave(store, dict.fromkeys(("first", "second"), given.launch), check) == 2


def test_a_claim_that_nobody_holds_is_given_back_or_finished_never_both(store: Store, launch_id: int) -> None:
    (job_id,) = given.enqueue(store, "a")

    def watchdog(process: Store) -> list[bool]:
        seen = process.jobs.claims(launch_id)
        return [process.jobs.requeue_claim(*claim) for claim in seen]

    def check(played: Played, after: Store) -> None:
        kept = held_to_the_end(played.results["worker"])
        given_back = played.results["watchdog"] == [True]
        assert kept != given_back
        assert budgets(after, job_id) == (["queued", 0, 0, 0] if given_back else ["verified", 1, 0, 0])

    assert interleave(store, {"worker": works(launch_id), "watchdog": watchdog}, check) == 11


# people


def test_a_cancelled_job_stays_cancelled_or_was_verified_before(store: Store, launch_id: int) -> None:
    (job_id,) = given.enqueue(store, "a")

    def cancel(process: Store) -> str:
        try:
            process.jobs.decide([job_id], OperatorMove.CANCEL)
        except MoveRefusedError:
            return "refused"
        return "cancelled"

    def check(played: Played, after: Store) -> None:
        done = bool(played.results["worker"]) and held_to_the_end(played.results["worker"])
        assert played.results["operator"] == ("refused" if done else "cancelled")
        assert after.jobs.state_of(job_id) is (JobState.VERIFIED if done else JobState.CANCELLED)
        assert given.row(after, job_id)["verify_passes"] == done

    assert interleave(store, {"worker": works(launch_id), "operator": cancel}, check) == 5


def test_a_retry_and_a_new_request_for_the_same_run_make_one_pending_job(store: Store, launch_id: int) -> None:
    failed = given.bring_to(store, launch_id, JobState.FAILED)
    path = given.execute(store, f"SELECT run_path FROM sync_jobs WHERE id = {failed}")[0][0]

    def retry(process: Store) -> bool:
        try:
            return process.jobs.decide([failed], OperatorMove.RETRY) == {failed: JobState.FAILED}
        except MoveRefusedError:
            return False

    def check(played: Played, after: Store) -> None:
        queued = played.results["sync"]
        assert isinstance(queued, Enqueued)
        assert queued.created != played.results["operator"]
        pending = given.execute(after, "SELECT id FROM sync_jobs WHERE finished_at IS NULL")
        assert pending == [(queued.job_id,)]
        claimed = played.results["worker"]
        assert claimed is None or (isinstance(claimed, ClaimedJob) and claimed.job_id == queued.job_id)

    acts = {
        "operator": retry,
        "sync": lambda process: process.jobs.enqueue(NewJob(str(path), "nas"), given.NOW),
        "worker": claims(launch_id),
    }
    assert interleave(store, acts, check) == 7


def test_a_job_in_flight_waits_for_nothing_whoever_holds_releases_or_promotes(store: Store, launch_id: int) -> None:
    given.enqueue(store, "a", "b")
    away = WaitReason.DESTINATION_OFFLINE

    def probe(process: Store) -> None:
        process.jobs.hold("nas", away, given.later(0))
        process.jobs.promote(given.later(1))
        process.jobs.release("nas", away)

    def check(played: Played, after: Store) -> None:
        for job_id, state, not_before, waiting_on in given.execute(
            after, "SELECT id, state, not_before, waiting_on FROM sync_jobs"
        ):
            assert (not_before, waiting_on) == (None, None), job_id
            assert state in {"queued", "verified"}
        assert held_to_the_end(played.results["worker"])

    acts = {"worker": works(launch_id), "probe": probe}
    assert interleave(store, acts, check) == 60


# leases


def test_a_session_completed_during_the_drain_has_all_its_runs_queued_before_it_counts_as_over(
    store: Store, launch_id: int
) -> None:
    store.sessions.open(SCAN, launch_id, given.NOW)
    given.enqueue(store, "2")
    runs = [NewJob(f"/runs/{number}", "nas", session_id="scan") for number in (1, 2, 3)]

    def check(played: Played, after: Store) -> None:
        asked = played.results["sync"]
        assert isinstance(asked, Enqueued)
        assert asked.job_id in {one.job_id for one in played.listed("client") if isinstance(one, Enqueued)}
        jobs = given.execute(after, "SELECT run_path FROM sync_jobs WHERE finished_at IS NULL ORDER BY run_path")
        assert jobs == [("/runs/1",), ("/runs/2",), ("/runs/3",)]
        completed = played.place("client", "BEGIN")
        for nth, idle in enumerate(played.listed("quit")):
            assert idle == (played.place("quit", "SELECT", nth) > completed)

    acts = {
        "client": lambda process: process.sessions.complete("scan", runs, given.NOW),
        "sync": lambda process: process.jobs.enqueue(NewJob("/runs/3", "nas"), given.NOW),
        "quit": drains(launch_id),
    }
    assert interleave(store, acts, check) == 30


def test_a_session_ends_once_and_queues_its_runs_only_if_it_was_completed(store: Store, launch_id: int) -> None:
    store.sessions.open(SCAN, launch_id, given.NOW)
    runs = [NewJob(f"/runs/{number}", "nas", session_id="scan") for number in (1, 2)]

    def check(played: Played, after: Store) -> None:
        completed = played.results["client"] is not None
        ends = [completed, played.results["other client"] is True, played.results["watchdog"] == 1]
        assert sum(ends) == 1, "it ended twice, or not at all"
        states = (LeaseState.COMPLETED, LeaseState.ABORTED, LeaseState.EXPIRED)
        found = after.sessions.find("scan")
        assert found is not None
        assert found.state is states[ends.index(True)]
        assert given.execute(after, "SELECT count(*) FROM sync_jobs") == [(2 * completed,)]

    acts = {
        "client": lambda process: process.sessions.complete("scan", runs, given.later(60)),
        "other client": lambda process: process.sessions.abort("scan", given.later(60)),
        "watchdog": lambda process: process.sessions.expire(given.later(60)),
    }
    assert interleave(store, acts, check) == 6


def test_a_heartbeat_that_was_answered_keeps_the_lease_whenever_the_watchdog_polls(
    store: Store, launch_id: int
) -> None:
    store.sessions.open(SCAN, launch_id, given.NOW)
    hour = timedelta(hours=1)

    def watchdog(process: Store) -> None:
        process.sessions.expire(given.later(60))
        process.sessions.move_clock(hour)
        process.sessions.expire(given.later(60) + hour)

    def check(played: Played, after: Store) -> None:
        answered, found = played.results["client"], after.sessions.find("scan")
        assert answered is None or isinstance(answered, datetime)
        assert found is not None
        assert (found.state is LeaseState.ACTIVE) == (answered is not None)
        if answered is not None:
            assert found.expires_at == answered + hour

    acts = {"client": lambda process: process.sessions.renew("scan", given.later(59.999)), "watchdog": watchdog}
    assert interleave(store, acts, check) == 4

"""Workers outlive what jobs, the database and the operating system do to them, and lose no result over it."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.bench import START, Bench
from tests.support.program import PATIENCE_SECONDS, until

from exlab_wizard.domain.clock import to_text
from exlab_wizard.domain.files import JobProgress
from exlab_wizard.domain.job import OperatorMove, WaitReason
from exlab_wizard.domain.outcome import Completed, Deferred, Interrupted, Outcome, Superseded
from exlab_wizard.errors import ClaimLostError
from exlab_wizard.store.queue.claims import ClaimedJob
from exlab_wizard.transfer.ports import TransferControl
from exlab_wizard.transfer.source.manifest import RECEIPT
from exlab_wizard.workers.checkpoints import DatabaseCheckpoints


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Return one worker that is not started yet; it does not rest long after an error."""
    monkeypatch.setattr("exlab_wizard.workers.pool.ERROR_BACKOFF_SECONDS", 0.01)
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def verified(bench: Bench, job_id: int) -> None:
    until(lambda: bench.state(job_id) == "verified", what="the job to be verified")


def test_a_claim_that_the_database_refuses_is_tried_again(bench: Bench) -> None:
    bench.jobs.claims_to_fail = 5
    bench.pool.start()
    verified(bench, bench.enqueue("/run"))
    assert bench.jobs.claims_to_fail == 0


def test_a_result_that_cannot_be_written_is_kept_until_it_can(bench: Bench) -> None:
    bench.jobs.results_to_fail = 5
    first, second = bench.enqueue("/run-1"), bench.enqueue("/run-2")
    bench.pool.start()
    verified(bench, first)
    verified(bench, second)
    assert bench.jobs.results_to_fail == 0
    assert bench.attempts.tried == ["/run-1", "/run-2"]


def test_an_error_that_nobody_foresaw_does_not_end_a_worker(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, left = bench.jobs.claim, [ValueError("no such moment"), OSError("no such disk")]

    def unlucky(*arguments: object) -> ClaimedJob | None:
        if left:
            raise left.pop()
        return claim(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(bench.jobs, "claim", unlucky)
    bench.pool.start()
    verified(bench, bench.enqueue("/run"))
    assert left == []


def test_a_job_cancelled_under_the_worker_stays_cancelled_and_the_worker_goes_on(bench: Bench) -> None:
    cancelled, following = bench.enqueue("/cancelled"), bench.enqueue("/next")

    def too_late(job: ClaimedJob, _control: TransferControl) -> Outcome:
        bench.jobs.decide([job.job_id], OperatorMove.CANCEL)
        return Completed("/cancelled")

    bench.attempts.scripts["/cancelled"] = too_late
    bench.pool.start()
    verified(bench, following)
    assert bench.state(cancelled) == "cancelled"
    assert bench.row("verified_at, verify_passes", cancelled) == (None, 0)


def test_a_transfer_whose_claim_is_gone_is_told_to_stop_and_others_are_not(tmp_path: Path) -> None:
    bench, stopped = Bench(tmp_path, workers=2), []

    def until_stopped(job: ClaimedJob, control: TransferControl) -> Outcome:
        control.wait(PATIENCE_SECONDS)
        stopped.append((job.run_path, control.reason))
        return Superseded()

    bench.attempts.scripts = {"/a": until_stopped, "/b": until_stopped}
    first, second = bench.enqueue("/a"), bench.enqueue("/b")
    bench.pool.start()
    try:
        until(lambda: len(bench.attempts.tried) == 2, what="both to run")
        bench.pool.drop_lost_claims()
        assert stopped == []
        bench.jobs.decide([first], OperatorMove.CANCEL)
        bench.pool.drop_lost_claims()
        until(lambda: stopped == [("/a", "the claim is lost")], what="the cancelled one to stop")
        assert bench.state(second) == "running"
    finally:
        bench.close()


def test_a_checkpoint_after_the_claim_was_lost_ends_the_attempt(bench: Bench) -> None:
    job_id = bench.enqueue("/run")
    job = bench.jobs.claim(bench.launch_id, START)
    assert job is not None
    told: list[str] = []
    checkpoints = DatabaseCheckpoints(bench.store, job, TransferControl(), lambda: told.append("progress"))
    checkpoints.write([], JobProgress(1, 0, 10, 0, 0, 0))
    assert told == ["progress"]
    bench.jobs.decide([job_id], OperatorMove.CANCEL)
    with pytest.raises(ClaimLostError, match="claim is lost"):
        checkpoints.write([], JobProgress(1, 0, 10, 5, 0, 0))
    with pytest.raises(ClaimLostError, match="claim is lost"):
        checkpoints.write_manifest([], [], JobProgress(1, 0, 10, 5, 0, 0))
    with pytest.raises(ClaimLostError, match="claim is lost"):
        checkpoints.all_sent()
    assert told == ["progress"]
    assert bench.row("state, bytes_done", job_id) == ("cancelled", 0)


def test_the_incoming_folder_is_named_after_installation_and_job(bench: Bench, tmp_path: Path) -> None:
    """Workstations share destinations, and each counts its jobs from 1."""
    run = tmp_path / "run"
    run.mkdir()
    bench.attempts.scripts[str(run)] = bench.attempts.copy
    job_id = bench.enqueue(str(run))
    bench.pool.start()
    verified(bench, job_id)
    receipt = json.loads((tmp_path / "nas" / "run" / RECEIPT).read_text("utf-8"))
    assert receipt["job_key"] == f"0123456789abcdef-{job_id}"


def test_an_unforeseen_error_in_an_attempt_is_a_failure_that_is_tried_again_and_then_not(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(_transfer: object) -> Completed:
        raise LookupError("no such thing as \udcff")

    monkeypatch.setattr("exlab_wizard.workers.attempt.MountTransfer.run", explode)
    # The text of the error cannot travel between the processes of the test runner.
    monkeypatch.setattr(logging.getLogger("exlab_wizard.workers.attempt"), "disabled", True)
    bench.attempts.scripts["/run"] = bench.attempts.copy
    job = bench.enqueue("/run")
    bench.pool.start()
    for attempt, delay in enumerate((30, 120, 480, 1800, 7200), 1):
        until(lambda n=attempt: bench.row("state, attempts", job) == ("queued", n), what="the attempt")  # type: ignore[misc]
        kind, detail, not_before = bench.row("error_kind, error_detail, not_before", job)
        assert (kind, detail) == ("unknown", "LookupError: no such thing as \\udcff")
        assert not_before == to_text(START + timedelta(seconds=delay))
        bench.make_due(job)
    until(lambda: bench.state(job) == "failed", what="the last attempt")
    assert bench.row("error_kind, attempts", job) == ("unknown", 6)


def test_a_hung_transfer_holds_up_no_other_and_its_late_result_changes_nothing(bench: Bench) -> None:
    released, returned = threading.Event(), threading.Event()

    def hang(_job: ClaimedJob, control: TransferControl) -> Outcome:
        control.last_moved -= 1000
        released.wait(PATIENCE_SECONDS)
        returned.set()
        return Completed("/hung")

    bench.attempts.scripts["/hung"] = hang
    hung, other = bench.enqueue("/hung"), bench.enqueue("/other")
    bench.pool.start()
    try:
        until(lambda: bench.attempts.tried, what="the transfer to hang")
        bench.pool.give_up_stalled()
        assert bench.row("state, error_kind, attempts", hung) == ("queued", "network", 1)
        assert "for 1 min:" in str(bench.row("error_detail", hung)[0])
        verified(bench, other)
        bench.make_due(hung)
        until(
            lambda: bench.row("waiting_on", hung) == ("earlier_attempt",), what="the job to wait for its first attempt"
        )
        assert bench.attempts.tried.count("/hung") == 1
    finally:
        released.set()
    assert returned.wait(PATIENCE_SECONDS)
    until(
        lambda: "worker-1" not in {thread.name for thread in threading.enumerate()}, 5, "the worker left behind to end"
    )
    assert bench.row("state, verified_at, attempts", hung) == ("queued", None, 1)
    del bench.attempts.scripts["/hung"]
    bench.make_due(hung)
    verified(bench, hung)


def test_a_stalled_transfer_that_stops_when_told_is_tried_again_by_this_launch(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, controls, finish = threading.Event(), list[TransferControl](), bench.jobs.finish

    def stop_when_told(_job: ClaimedJob, control: TransferControl) -> Outcome:
        controls.append(control)
        control.last_moved -= 1000
        control.wait(PATIENCE_SECONDS)
        told.set()
        return Interrupted(control.reason)

    def finish_first(*arguments: object) -> bool:
        assert not controls[0].stop_requested, "its worker could write its result first"
        return finish(*arguments)  # type: ignore[arg-type]

    bench.attempts.scripts["/stalled"] = stop_when_told
    job = bench.enqueue("/stalled")
    bench.pool.start()
    until(lambda: controls, what="the transfer to run")
    monkeypatch.setattr(bench.jobs, "finish", finish_first)
    bench.pool.give_up_stalled()
    assert told.wait(PATIENCE_SECONDS)
    assert bench.row("state, error_kind, attempts, interruptions", job) == ("queued", "network", 1, 0)


def test_a_transfer_that_moves_bytes_is_not_given_up(bench: Bench) -> None:
    released = threading.Event()

    def slow(_job: ClaimedJob, control: TransferControl) -> Outcome:
        control.last_moved -= 1000
        control.moved(1)
        released.wait(PATIENCE_SECONDS)
        return Completed("/slow")

    bench.attempts.scripts["/slow"] = slow
    job = bench.enqueue("/slow")
    bench.pool.start()
    until(lambda: bench.attempts.tried, what="the transfer to run")
    bench.pool.give_up_stalled()
    assert bench.state(job) == "running"
    released.set()
    verified(bench, job)


def test_a_share_that_hangs_when_looked_at_keeps_no_worker_from_another_share(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(_folder: Path, _marker_id: str) -> None:
        hangs.set()
        goes_on.wait(PATIENCE_SECONDS)

    monkeypatch.setattr("exlab_wizard.workers.destination_probe.probe", hang)
    away = Deferred(WaitReason.DESTINATION_OFFLINE, "away")
    bench.attempts.scripts["/away"] = lambda _job, _control: away
    waiting = bench.enqueue("/away")
    bench.pool.start()
    assert hangs.wait(PATIENCE_SECONDS)
    assert bench.row("waiting_on, attempts", waiting) == ("destination_offline", 0)
    other = bench.enqueue("/other", "other")
    bench.pool.wake()
    verified(bench, other)
    del bench.attempts.scripts["/away"]
    goes_on.set()
    verified(bench, waiting)


def test_a_quota_does_not_make_a_job_that_finds_the_share_full_run_in_circles(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, look = list[str](), bench.store.jobs.waiting_destinations

    def counted() -> list[tuple[str, WaitReason, int]]:
        looks.append("for destinations that jobs wait for")
        return look()

    monkeypatch.setattr("exlab_wizard.workers.destination_probe.PROBE_INTERVAL_SECONDS", 0.02)
    monkeypatch.setattr(bench.store.jobs, "waiting_destinations", counted)
    full = Deferred(WaitReason.DESTINATION_FULL, "quota")
    bench.attempts.scripts["/run"] = lambda _job, _control: full
    job = bench.enqueue("/run")
    bench.pool.start()
    until(lambda: len(bench.attempts.tried) == 2, what="free space to invite one more try")
    for _ in range(5):
        bench.pool.wake()
    before = len(looks)
    until(lambda: len(looks) > before + 20, what="the worker to look for free space again")
    assert len(bench.attempts.tried) == 2
    assert bench.row("state, waiting_on, attempts", job) == ("queued", "destination_full", 0)


def test_forcing_marks_all_that_runs_also_what_does_not_react(tmp_path: Path) -> None:
    bench, released = Bench(tmp_path, workers=2), threading.Event()

    def reacts(_job: ClaimedJob, control: TransferControl) -> Outcome:
        control.wait(PATIENCE_SECONDS)
        return Interrupted(control.reason)

    def hangs(_job: ClaimedJob, _control: TransferControl) -> Outcome:
        released.wait(PATIENCE_SECONDS)
        return Completed("/hangs")

    bench.attempts.scripts = {"/reacts": reacts, "/hangs": hangs}
    jobs = [bench.enqueue("/reacts"), bench.enqueue("/hangs")]
    bench.pool.start()
    until(lambda: len(bench.attempts.tried) == 2, what="both to run")
    bench.store.launches.drain(bench.launch_id, START)
    assert bench.pool.force("force quit", 0.2) == 1
    for job in jobs:
        assert bench.row("state, attempts, interruptions, claim_id", job) == ("resumable", 0, 1, None)
    released.set()
    bench.close()


def test_a_claim_that_went_through_although_an_error_was_reported_finds_a_worker_again(bench: Bench) -> None:
    job_id = bench.enqueue("/run")
    # The commit was durable, and the caller was told that it was not: no worker knows of this claim.
    assert bench.store.jobs.claim(bench.launch_id, START) is not None
    bench.pool.start()
    assert bench.state(job_id) == "running"
    bench.pool.requeue_orphans()
    assert bench.state(job_id) == "running", "one look may fall between a claim and its worker"
    bench.pool.requeue_orphans()
    verified(bench, job_id)
    assert bench.attempts.tried == ["/run"]


def test_a_claim_that_a_worker_holds_is_no_orphan(bench: Bench) -> None:
    job_id, go_on = bench.enqueue("/run"), threading.Event()

    def slow(job: ClaimedJob, _control: TransferControl) -> Outcome:
        assert go_on.wait(PATIENCE_SECONDS)
        return Completed(job.run_path)

    bench.attempts.scripts["/run"] = slow
    bench.pool.start()
    until(lambda: bench.state(job_id) == "running", what="the job to run")
    for _ in range(3):
        bench.pool.requeue_orphans()
    go_on.set()
    verified(bench, job_id)
    assert bench.attempts.tried == ["/run"]

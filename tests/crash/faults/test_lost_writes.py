"""Disks and servers that lie, lose or dawdle: what was not durable is sent again, and nothing damaged is published.

After a flush that failed the kernel takes the lost pages for clean: flushing once more succeeds and means nothing.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Final

import pytest
from tests.crash.faults.faulty_program import BIG, SMALL, FaultyProgram, number_of
from tests.crash.faults.shim import HANGING_SECONDS, Call, Effect
from tests.support.program import MIB, until

from exlab_wizard.domain.clock import from_text
from exlab_wizard.store.queue.jobs import NewJob

pytestmark = [pytest.mark.slow, pytest.mark.sampled]
EIO: Final = number_of("EIO")
Copy = Callable[[FaultyProgram], str]


def large(running: FaultyProgram) -> str:
    return f"{running.nas}/.exlab-incoming/*/{BIG}"


def little(running: FaultyProgram) -> str:
    return f"{running.nas}/.exlab-incoming/*/{SMALL}"


def incoming_folder(running: FaultyProgram) -> str:
    return f"{running.nas}/.exlab-incoming/*[0-9]"


def test_after_a_flush_that_failed_the_bytes_are_written_again_not_only_flushed_again(running: FaultyProgram) -> None:
    run = running.new_run({BIG: 40 * MIB})
    with running.faults.arm(Call.FSYNC, large(running), EIO, skip=1, times=1, effect=Effect.LOSE) as fault:
        job = running.enqueue(run)
        assert running.ending(job).reason == "tried again: network"
        assert fault.hits == 1
    done = running.number("SELECT bytes_done FROM sync_jobs WHERE id = ?", job)
    assert 0 < done < 40 * MIB
    with running.faults.arm(Call.WRITE, large(running)) as written:
        running.make_due(job)
        running.verified(job)
        assert written.hits >= (40 * MIB - done) // MIB
    assert running.number("SELECT bytes_resumed FROM sync_jobs WHERE id = ?", job) == done
    assert len(running.endings(job)) == 1
    assert running.arrived_whole(run)


def test_small_files_of_a_flush_that_failed_are_written_again(running: FaultyProgram) -> None:
    run = running.new_run()
    with (
        running.faults.arm(Call.WRITE, little(running), times=1, effect=Effect.ZEROS) as lost,
        running.faults.arm(Call.FSYNC, incoming_folder(running), EIO, times=1) as fault,
    ):
        job = running.enqueue(run)
        assert running.ending(job).reason == "tried again: network"
        assert (lost.hits, fault.hits) == (1, 1)
    assert running.number("SELECT count(*) FROM sync_files WHERE job_id = ? AND state <> 'pending'", job) == 0
    running.make_due(job)
    running.verified(job)
    assert len(running.endings(job)) == 1
    assert running.arrived_whole(run)


@pytest.mark.parametrize("copy", [large, little], ids=["large", "small"])
def test_bytes_that_a_disk_lost_without_a_word_are_found_by_reading_back_and_sent_again(
    running: FaultyProgram, copy: Copy
) -> None:
    run = running.new_run()
    with running.faults.arm(Call.WRITE, copy(running), times=1, effect=Effect.ZEROS) as fault:
        job = running.enqueue(run)
        running.verified(job)
        assert fault.hits == 1
    assert [ending.reason for ending in running.endings(job)] == ["tried again: hash_mismatch"]
    assert running.arrived_whole(run)


@pytest.mark.parametrize("copy", [large, little], ids=["large", "small"])
def test_what_a_disk_loses_again_and_again_is_never_published(running: FaultyProgram, copy: Copy) -> None:
    run = running.new_run()
    with running.faults.arm(Call.WRITE, copy(running), effect=Effect.ZEROS):
        job = running.enqueue(run)
        until(lambda: running.job_state(job) == "failed", what="the job to be given up")
        assert [ending.reason for ending in running.endings(job)] == [
            "tried again: hash_mismatch",
            "failed: hash_mismatch",
        ]
        assert "check the NAS and the network" in running.endings(job)[-1].detail
        assert not (running.nas / run.name).exists()
    running.make_due(job)
    running.verified(job)
    assert running.arrived_whole(run)


def test_short_reads_and_writes_and_interrupted_calls_cost_nothing(running: FaultyProgram) -> None:
    run = running.new_run()
    interrupted = Call.OPEN | Call.READ | Call.WRITE | Call.FSYNC
    with (
        running.faults.arm(Call.READ | Call.WRITE, f"{running.home}/*/*[!b]", effect=Effect.SHORT) as short,
        running.faults.arm(interrupted, f"{run}*", number_of("EINTR"), times=5) as at_source,
        running.faults.arm(interrupted, large(running), number_of("EINTR"), times=5) as at_target,
    ):
        job = running.enqueue(run)
        running.verified(job)
        assert short.hits > 20
        assert (at_source.hits, at_target.hits) == (5, 5)
    assert running.endings(job) == []
    assert running.arrived_whole(run)


def test_a_rename_that_was_done_and_reported_as_failed_publishes_once(running: FaultyProgram) -> None:
    run = running.new_run()
    lost_answer = number_of("ETIMEDOUT")
    with running.faults.arm(
        Call.RENAME, running.nas / run.name, lost_answer, times=1, effect=Effect.AFTERWARDS
    ) as fault:
        job = running.enqueue(run)
        assert running.ending(job).reason == "tried again: network"
        assert fault.hits == 1
    published = (running.nas / run.name).stat().st_ino
    running.make_due(job)
    running.verified(job)
    assert (running.nas / run.name).stat().st_ino == published
    assert running.arrived_whole(run)
    assert not (running.nas / ".exlab-incoming").exists()


def enqueue_of_scope(running: FaultyProgram, run: str) -> int:
    """Queue a run whose final path is in the folder of an instrument."""
    with running.store() as store:
        now = from_text(str(running.value("SELECT strftime('%Y-%m-%dT%H:%M:%fZ')")))
        return store.jobs.enqueue(NewJob(run, "nas", equipment_id="scope"), now).job_id


def test_a_published_run_whose_name_is_not_durable_is_not_yet_verified(running: FaultyProgram) -> None:
    run = running.new_run()
    with running.faults.arm(Call.FSYNC, running.nas / "scope", EIO) as fault:
        job = enqueue_of_scope(running, str(run))
        assert "Cannot publish" in running.ending(job).detail
        assert (running.nas / "scope" / run.name).exists()
        running.make_due(job)
        assert running.ending(job, 2).reason == "tried again: network"
        assert fault.hits >= 2
    with running.faults.arm(Call.FSYNC, running.nas / "scope") as flushed:
        running.make_due(job)
        running.verified(job)
        assert flushed.hits


def test_a_folder_on_the_way_that_was_made_and_not_flushed_is_flushed_by_the_next_attempt(
    running: FaultyProgram,
) -> None:
    scope = running.nas / "scope"
    if scope.exists():
        scope.rename(running.home / "earlier")
    # The first flush is for the folder of what is incoming.
    with running.faults.arm(Call.FSYNC, running.nas, EIO, skip=1, times=1) as fault:
        job = enqueue_of_scope(running, str(running.new_run()))
        assert "Cannot create the folder" in running.ending(job).detail
        assert fault.hits == 1
        assert scope.exists()
    with running.faults.arm(Call.FSYNC, running.nas) as flushed:
        running.make_due(job)
        running.verified(job)
        assert flushed.hits


def test_a_disk_that_hangs_in_a_flush_is_given_up_and_the_run_arrives_when_it_answers(running: FaultyProgram) -> None:
    running.configure(stall_s=1.0)
    until(lambda: "reloaded the settings" in running.log(), what="the new patience to count")
    run, other = running.new_run(), running.new_run()
    with running.faults.arm(Call.FSYNC, large(running), times=1, delay_s=HANGING_SECONDS) as fault:
        job = running.enqueue(run)
        fault.has_hit()
        ending = running.ending(job)
        assert ending.reason == "tried again: network"
        assert "No bytes were transferred for 1 s" in ending.detail
        running.verified(running.enqueue(other))
        running.make_due(job)
        assert running.ending(job, 2).reason == "waits: earlier_attempt"

    def arrived() -> bool:
        running.make_due(job)  # the earlier attempt may not have ended yet
        return running.job_state(job) == "verified"

    until(arrived, what="the job to arrive")
    assert running.arrived_whole(run)
    running.configure()


def test_sigterm_ends_the_program_in_time_while_the_disk_hangs(program: FaultyProgram) -> None:
    program.start()
    with program.faults.arm(Call.FSYNC, large(program), delay_s=HANGING_SECONDS) as fault:
        job = program.enqueue(program.new_run())
        fault.has_hit()
        program.process.send_signal(signal.SIGTERM)
        assert program.wait() == 0
    assert program.query("SELECT state, attempts, interruptions, crashes FROM sync_jobs") == [("resumable", 0, 1, 0)]
    program.start()
    program.verified(job)

"""The computer itself runs out: of descriptors, threads, memory, of room for its log. Work waits, and a quit ends."""

from __future__ import annotations

import errno
import resource
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

import psutil
import pytest
from tests.crash.faults.faulty_program import FaultyProgram
from tests.crash.faults.shim import Call
from tests.support.bench import Bench
from tests.support.program import MIB, PATIENCE_SECONDS, until

from exlab_wizard.domain.outcome import Completed

pytestmark = [pytest.mark.slow, pytest.mark.sampled]
RUN_OUT: Final = "This computer has run out of memory, threads or open files"
NO_MORE_THREADS: Final = "can't start new thread"


@contextmanager
def limited(program: FaultyProgram, which: int, value: int) -> Iterator[None]:
    """Lower a limit of the running program."""
    process = psutil.Process(program.process.pid)
    before = process.rlimit(which)
    process.rlimit(which, (value, before[1]))
    try:
        yield
    finally:
        if program.process.poll() is None:
            process.rlimit(which, before)


def descriptors(program: FaultyProgram) -> AbstractContextManager[object]:
    return limited(program, resource.RLIMIT_NOFILE, psutil.Process(program.process.pid).num_fds())


def memory(program: FaultyProgram) -> AbstractContextManager[object]:
    # Room for what a new thread needs to begin, since the interpreter waits forever for one that could not.
    room = psutil.Process(program.process.pid).memory_info().vms + 3 * MIB
    return limited(program, resource.RLIMIT_AS, room)


def threads(program: FaultyProgram) -> AbstractContextManager[object]:
    return program.faults.arm(Call.THREAD, "", errno.EAGAIN)


RunOut = Callable[[FaultyProgram], AbstractContextManager[object]]
every_way_to_run_out = pytest.mark.parametrize("run_out", [descriptors, memory, threads], ids=lambda way: way.__name__)


def let_it_ask_for_the_end_of_the_session(program: FaultyProgram) -> None:
    """Have something open until the system was asked in vain: what that takes is not taken from the test's limits."""
    status, lease = program.api("POST", "/sessions", {"kind": "run", "label": "open for a moment"})
    assert status == 201
    assert isinstance(lease, dict)
    until(lambda: "does not announce the end of the session" in program.log(), what="the system to be asked")
    assert program.api("POST", f"/sessions/{lease['id']}/abort")[0] == 200


@every_way_to_run_out
def test_a_job_for_which_the_computer_has_run_out_is_tried_again_and_arrives(
    program: FaultyProgram, run_out: RunOut
) -> None:
    program.configure(workers=1)
    program.start()
    program.verified(program.enqueue(program.new_run({"tiny.txt": 5})))  # the worker has its connection by then
    let_it_ask_for_the_end_of_the_session(program)
    run = program.new_run()
    with run_out(program):
        job = program.enqueue(run)
        ending = program.ending(job)
        assert ending.reason == "tried again: unknown"
        assert RUN_OUT in ending.detail
    program.make_due(job)
    program.verified(job)
    assert program.arrived_whole(run)


@every_way_to_run_out
def test_a_quit_ends_in_time_and_marks_what_was_in_flight_although_the_computer_has_run_out(
    program: FaultyProgram, run_out: RunOut
) -> None:
    program.configure(bandwidth_mib_s=4)
    program.start()
    job = program.enqueue(program.new_run({"big.raw": 40 * MIB}))
    until(lambda: program.value("SELECT bytes_done > 0 FROM sync_jobs"), what="part to be sent")
    with run_out(program):
        program.process.send_signal(signal.SIGTERM)
        assert program.wait() == 0
    assert program.query("SELECT state, attempts, interruptions, crashes FROM sync_jobs") == [("resumable", 0, 1, 0)]
    assert program.query("SELECT end_reason FROM launches") == [("forced",)]
    program.configure()
    program.start()
    program.verified(job)


def test_a_launch_without_a_thread_to_be_had_is_one_line(program: FaultyProgram) -> None:
    with program.faults.arm(Call.THREAD, "", errno.EAGAIN):
        answer = program.call("run", "--headless")
    assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (1, "", 1)
    assert RUN_OUT in answer.stderr


def test_workers_for_which_there_was_no_thread_come_when_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, start = Bench(tmp_path, workers=2), threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("worker-"):
            raise RuntimeError(NO_MORE_THREADS)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    bench.pool.start()
    job = bench.enqueue("/run")
    with pytest.raises(RuntimeError):
        bench.pool.give_up_stalled()
    monkeypatch.undo()
    bench.pool.give_up_stalled()
    until(lambda: bench.state(job) == "verified", what="the job to be verified")
    bench.close()


def test_a_job_that_runs_out_of_memory_is_tried_again_and_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_out(_transfer: object) -> Completed:
        raise MemoryError

    bench = Bench(tmp_path)
    monkeypatch.setattr("exlab_wizard.workers.attempt.MountTransfer.run", run_out)
    bench.attempts.scripts["/greedy"] = bench.attempts.copy
    greedy, other = bench.enqueue("/greedy"), bench.enqueue("/other")
    bench.pool.start()
    until(lambda: bench.state(other) == "verified", what="the other job to be verified")
    kind, attempts, detail = bench.row("error_kind, attempts, error_detail", greedy)
    assert (kind, attempts) == ("unknown", 1)
    assert RUN_OUT in str(detail)
    bench.close()


def test_a_log_that_cannot_be_written_keeps_nothing_from_arriving(program: FaultyProgram) -> None:
    run = program.new_run()
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            program.command("run", "--headless"),
            env=program.environment,
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=full,
        )
        until(program.database.exists, what="the program to start")
        until(lambda: program.query("SELECT 1 FROM sqlite_master WHERE name = 'launches'"), what="the schema")
        until(lambda: program.number("SELECT count(*) FROM launches"), what="the launch")
        job = program.enqueue(run)
        program.verified(job)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
    assert program.query("SELECT end_reason FROM launches") == [("drained",)]

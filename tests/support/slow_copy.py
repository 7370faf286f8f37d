"""Work for the real program to be in the middle of, and the receipts that a quit leaves."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from tests.support.program import MIB, Program, until, write_run

from exlab_wizard.store.sqlite.values import Value

SLOW_MIB_S = 5.0


@dataclass(frozen=True)
class QuitRow:
    """The columns of a quit that matter to those who ask later."""

    trigger: Value
    outcome: Value
    prompts: Value
    waits: Value
    blocking_jobs: Value
    blocking_sessions: Value
    decided: bool


def copying_slowly(program: Program, mib: int = 100, *, window_s: float = 30.0, start: bool = True) -> int:
    """Start the program, if asked to, and return a job that is being copied at 5 MiB/s."""
    program.configure(bandwidth_mib_s=SLOW_MIB_S, window_s=window_s)
    if start:
        program.start()
    job = program.enqueue(write_run(program.home / "slow", {"big.bin": mib * MIB}))
    until(lambda: in_flight(program, job), what="the copy to be in flight")
    return job


def in_flight(program: Program, job: int = 1) -> bool:
    """Return whether bytes of the job have been copied, and not all."""
    found = program.query("SELECT state, bytes_done, bytes_total FROM sync_jobs WHERE id = ?", job)
    if not found:
        return False
    state, done, total = found[0]
    assert isinstance(done, int)
    assert isinstance(total, int)
    return state == "running" and 0 < done < total


def quits(program: Program) -> list[QuitRow]:
    """Return all quits, the oldest first."""
    rows = program.query(
        "SELECT trigger, outcome, prompts, waits, blocking_jobs, blocking_sessions, decided_at IS NOT NULL"
        " FROM quit_requests ORDER BY id"
    )
    return [
        QuitRow(trigger, outcome, prompts, waits, jobs, sessions, decided=bool(decided))
        for trigger, outcome, prompts, waits, jobs, sessions, decided in rows
    ]


def last_end(program: Program) -> Value:
    """Return the end reason of the last launch."""
    return program.value("SELECT end_reason FROM launches ORDER BY id DESC LIMIT 1")


def finish(program: Program, job: int = 1) -> None:
    """Launch again without a limit and prove that the run arrives whole."""
    program.configure()
    program.start()
    until(lambda: program.job_state(job) == "verified", what="the run to arrive")
    assert program.checksums_pass("slow")
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0

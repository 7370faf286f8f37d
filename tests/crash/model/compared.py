"""The ground of the state machine: a real database file with several processes, the model, and what must always hold.

After each step every row must be as the model says, the invariants of `db check` must hold, and the order in which jobs
would be claimed must be the model's.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import os
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar, Final

from hypothesis.stateful import RuleBasedStateMachine, invariant
from tests.crash.model.reference import ENDED, IN_FLIGHT, Job, Launch, World, text

from exlab_wizard.domain.clock import to_text
from exlab_wizard.paths import StateDir
from exlab_wizard.store.queue.claims import PROMOTE_DUE, take_in
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.sqlite.driver import driver
from exlab_wizard.store.store import Store
from exlab_wizard.store.upkeep.invariants import INVARIANTS

PROCESSES: Final = 3
AWAY: Final = ["destination_offline", "destination_full"]


class _RolledBackError(Exception):
    """Undoes a look at what would be claimed."""


class Compared(RuleBasedStateMachine):
    """The program's store beside the model; who inherits adds the steps."""

    template: ClassVar[Path]
    steps: ClassVar[int] = 0
    reached: ClassVar[set[tuple[str, str]]] = set()

    def __init__(self) -> None:
        super().__init__()
        shm = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
        self._folder = tempfile.TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else None)
        self.state_dir = StateDir(Path(self._folder.name))
        shutil.copy(self.template, self.state_dir.database)
        self.world = World()
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.boot = "boot-1"
        self.numbers = itertools.count(1)
        self.open_all()
        Compared.steps -= 1  # the invariants are looked at once before the first step

    def open_all(self) -> None:
        self.stores = [Store(Database(self.state_dir.database)) for _ in range(PROCESSES)]
        self.shell = driver.connect(self.state_dir.database, isolation_level=None)

    def close_all(self) -> None:
        for store in self.stores:
            store.close()
        self.shell.close()

    def teardown(self) -> None:
        self.close_all()
        self._folder.cleanup()
        Compared.reached.update(move for job in self.world.jobs.values() for move in job.moves)

    @property
    def launch(self) -> Launch:
        """The newest launch: the one that runs, or that ended last."""
        return self.world.launches[max(self.world.launches)]

    @invariant()
    def no_invariant_of_the_check_is_broken(self) -> None:
        Compared.steps += 1
        for name, sql in INVARIANTS:
            assert self.shell.execute(sql).fetchall() == [], name

    @invariant()
    def every_job_is_as_the_model_says(self) -> None:
        rows = self.shell.execute(
            "SELECT id, run_path, destination, session_id, state, priority, attempts, interruptions, crashes,"
            " not_before, waiting_on, error_kind, claim_id, launch_id, bytes_done, bytes_verified, verify_passes,"
            " finished_at IS NOT NULL, enqueued_at FROM sync_jobs ORDER BY id"
        ).fetchall()
        assert rows == [_row(job) for _, job in sorted(self.world.jobs.items())]
        files: dict[int, dict[str, tuple[str, int]]] = {number: {} for number in self.world.jobs}
        for number, path, state, done in self.shell.execute("SELECT job_id, path, state, bytes_done FROM sync_files"):
            files[number][path] = (state, done)
        assert files == {job.id: job.files() for job in self.world.jobs.values()}
        moves: dict[int, list[tuple[str, str]]] = {number: [] for number in self.world.jobs}
        for number, source, target in self.shell.execute(
            "SELECT job_id, from_state, to_state FROM job_events ORDER BY id"
        ):
            moves[number].append((source, target))
        assert moves == {job.id: job.moves for job in self.world.jobs.values()}

    @invariant()
    def leases_launches_and_quits_are_as_the_model_says(self) -> None:
        rows = self.shell.execute("SELECT id, state, expires_at, launch_id, ttl_s FROM session_leases ORDER BY rowid")
        assert rows.fetchall() == [
            (lease.id, lease.state, text(lease.expires_at), lease.launch, lease.ttl_s)
            for lease in self.world.leases.values()
        ]
        rows = self.shell.execute(
            "SELECT id, boot_id, jobs_resumed, draining_since IS NOT NULL, paused_since IS NOT NULL, end_reason"
            " FROM launches ORDER BY id"
        )
        assert rows.fetchall() == [
            (launch.id, launch.boot, launch.resumed, launch.draining, launch.paused, launch.end)
            for launch in self.world.launches.values()
        ]
        rows = self.shell.execute(
            "SELECT id, launch_id, force, outcome, prompts, waits, answer FROM quit_requests ORDER BY id"
        )
        assert rows.fetchall() == [
            (one.id, one.launch, one.force, one.outcome, one.prompts, one.waits, one.answer)
            for one in self.world.quits.values()
        ]

    @invariant()
    def the_drain_predicate_counts_what_the_model_counts(self) -> None:
        count = self.stores[0].drain.count(self.now)
        assert (count.active_sessions, count.in_flight_jobs) == self.world.count(self.now)
        before = datetime.now(UTC)
        sessions, jobs, idle = self.shell.execute("SELECT * FROM drain_status").fetchone()
        after = datetime.now(UTC)
        assert self.world.count(after)[0] <= sessions <= self.world.count(before - timedelta(milliseconds=1))[0]
        assert (jobs, idle) == (count.in_flight_jobs, sessions == jobs == 0)

    @invariant()
    def jobs_would_be_claimed_in_the_order_of_the_model(self) -> None:
        if not self.world.launches:
            return
        guess, expected = copy.deepcopy(self.world), list[int]()
        guess.promote(self.now)
        while (job := guess.take(self.launch.id)) is not None:
            expected.append(job.id)
        assert self._order_of_claims() == expected

    def _order_of_claims(self) -> list[int]:
        """Claim everything, and take it back."""
        order: list[int] = []
        with contextlib.suppress(_RolledBackError), self.stores[1].database.transaction() as transaction:
            transaction.change(PROMOTE_DUE, {"now": to_text(self.now)})
            while (claimed := take_in(transaction, self.launch.id, self.now)) is not None:
                order.append(claimed.job_id)
            raise _RolledBackError
        return order

    @invariant()
    def the_short_questions_have_the_answers_of_the_model(self) -> None:
        if not self.world.launches:
            return
        store, jobs = self.stores[2], self.world.jobs.values()
        delays = [job.not_before for job in jobs if job.not_before is not None]
        due = store.jobs.next_due_at()
        assert text(due) == text(min(delays, default=None))
        held = sorted((job.id, job.claim) for job in jobs if job.state in IN_FLIGHT and job.launch == self.launch.id)
        assert sorted(store.jobs.claims(self.launch.id)) == held
        waiting = sorted(
            {(job.destination, job.waiting_on) for job in jobs if job.state == "queued" and job.waiting_on in AWAY}
        )
        assert [(name, str(why)) for name, why, _ in store.jobs.waiting_destinations()] == waiting
        ends = [lease.expires_at for lease in self.world.leases.values() if lease.state == "active"]
        assert store.sessions.next_expiry() == min(ends, default=None)
        current = store.launches.open_launch()
        assert (None if current is None else current.id) == (self.launch.id if self.launch.end is None else None)
        open_quits = [
            one.id for one in self.world.quits.values() if one.outcome is None and one.launch == self.launch.id
        ]
        assert [one.id for one in store.quits.undecided(self.launch.id)] == open_quits


def _row(job: Job) -> tuple[object, ...]:
    return (
        job.id,
        job.run,
        job.destination,
        job.session,
        job.state,
        job.priority,
        job.attempts,
        job.interruptions,
        job.crashes,
        text(job.not_before),
        job.waiting_on,
        job.error,
        job.claim,
        job.launch,
        job.sent,
        job.read_back,
        job.passes,
        job.state in ENDED,
        text(job.enqueued_at),
    )

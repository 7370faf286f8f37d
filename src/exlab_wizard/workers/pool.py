"""The workers: each claims a job, runs its attempt, and in one transaction finishes it and claims the next.

No single job and no database error ends a worker. A transfer that hangs inside the operating system is left behind:
its job is queued again, a new worker takes its place, and its late writes miss their claim and change nothing.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from exlab_wizard.crash_points import Point, reached
from exlab_wizard.domain.clock import Clock
from exlab_wizard.domain.job import DESTINATION_WAITS, ErrorKind, WaitReason
from exlab_wizard.domain.outcome import OFFLINE_RECHECK_SECONDS, PAUSED, Deferred, Failed, Outcome, decide_next
from exlab_wizard.domain.text.amounts import elapsed
from exlab_wizard.errors import RuleError, StoreError
from exlab_wizard.process.logs import LogOnce, log_ids
from exlab_wizard.store.queue.claims import ClaimedJob
from exlab_wizard.store.store import Store
from exlab_wizard.transfer.copy.bandwidth import Throughput
from exlab_wizard.transfer.ports import TransferControl
from exlab_wizard.workers.attempt import Attempts
from exlab_wizard.workers.destination_probe import DestinationProbes

log = logging.getLogger(__name__)

IDLE_POLL_INTERVAL_SECONDS: Final = 30.0
ERROR_BACKOFF_SECONDS: Final = 1.0
_CLAIM_LOST: Final = "the claim was lost; nothing was written"


@dataclass(slots=True)
class _Running:
    """A claimed job and the control of its transfer."""

    job: ClaimedJob
    control: TransferControl
    ended: threading.Event = field(default_factory=threading.Event)
    left_transfer: bool = False
    """It waits for the database only."""


class _Worker:
    """One thread, and whether the pool has left it behind."""

    def __init__(self, name: str, loop: Callable[[_Worker], None]) -> None:
        self.left_behind = False
        self.running: _Running | None = None
        self.thread = threading.Thread(target=loop, args=(self,), name=name, daemon=True)


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """How many workers are wanted, alive and busy, and how many transfers have not yet reacted to a stop request.

    `files` maps each job to the file that its transfer is at: the path within the run, in the form of `os.fsdecode`.
    """

    wanted: int
    alive: int
    busy: int
    stopping: int
    files: dict[int, str]


class WorkerPool:
    """`settings.sync.workers` threads that claim under `launch_id`; `changed` is called when an attempt has ended."""

    def __init__(
        self, store: Store, attempts: Attempts, launch_id: int, clock: Clock, changed: Callable[[], None]
    ) -> None:
        self._store, self._attempts, self._settings = store, attempts, attempts.settings
        self._launch_id, self._clock, self._changed = launch_id, clock, changed
        self._probes = DestinationProbes(store, attempts.settings, self.wake)
        self.throughput = Throughput()
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._news = self._wanted = 0
        self._stopping = False
        self._workers: list[_Worker] = []
        self._running: dict[int, _Running] = {}
        self._unheld: set[tuple[int, str]] = set()
        self._number = itertools.count(1)

    def start(self) -> None:
        """Start the workers; those for which no thread is available now follow later."""
        self._wanted = self._settings.current.sync.workers
        try:
            self._fill_up()
        except RuntimeError as error:
            LogOnce(log).report("could not start every worker", error)

    def stop(self) -> None:
        """End every worker that is not inside a transfer, and wait for those; the others are left behind."""
        with self._lock:
            self._stopping = True
            self._work.notify_all()
            idle = [worker for worker in self._workers if worker.running is None]
        for worker in idle:
            if worker.thread.is_alive() and worker.thread is not threading.current_thread():
                worker.thread.join(timeout=2.0)

    @property
    def alive(self) -> bool:
        """Whether no worker has died."""
        with self._lock:
            return self._stopping or all(worker.thread.is_alive() for worker in self._workers)

    def replace_dead(self) -> None:
        """Replace the workers that have died; what they had in flight is then requeued as orphaned.

        Raises:
            RuntimeError: no thread is available.
        """
        with self._lock:
            for worker in [worker for worker in self._workers if not worker.thread.is_alive()]:
                self._workers.remove(worker)
                if (running := worker.running) is not None:
                    # Left on the list, the job would wait for ever for the end of this attempt.
                    running.control.request_stop("its worker has died")
                    running.ended.set()
                    if self._running.get(running.job.job_id) is running:
                        del self._running[running.job.job_id]
        self._fill_up()

    def status(self) -> PoolStatus:
        """Return how many workers there are, and what they are at."""
        with self._lock:
            alive = [worker for worker in self._workers if worker.thread.is_alive()]
            busy = [worker for worker in alive if worker.running is not None]
            hung = sum(one.control.stop_requested and not one.left_transfer for one in self._running.values())
            files = {number: one.control.file for number, one in self._running.items()}
            return PoolStatus(self._wanted, len(alive), len(busy), hung, files)

    def wake(self) -> None:
        """Let the idle workers poll for work now."""
        with self._lock:
            self._news += 1
            self._work.notify_all()

    def force(self, reason: str, grace_s: float) -> int:
        """Stop every transfer, mark the rows resumable, and return how many transfers did not stop within `grace_s`.

        Raises:
            StoreError: the rows could not be marked; the next launch finds them in flight and resumes them anyway.
        """
        deadline = time.monotonic() + grace_s
        with self._lock:
            self._stopping = True
            self._work.notify_all()
        running = self._transfers()
        for one in running:
            one.control.request_stop(reason)
        hung = sum(not one.ended.wait(max(0.0, deadline - time.monotonic())) for one in running)
        reached(Point.QUIT_BEFORE_MARKED)
        self._store.jobs.interrupt_launch(self._launch_id, reason)
        reached(Point.QUIT_AFTER_MARKED)
        return hung

    def stop_for_pause(self) -> None:
        """Stop every transfer for a pause; its progress is kept, and its row is queued again."""
        for one in self._transfers():
            one.control.request_stop(PAUSED)

    def drop_lost_claims(self) -> None:
        """Stop the transfers whose job was cancelled, requeued or taken over."""
        for one in self._transfers():
            if not self._store.jobs.still_claimed(one.job.job_id, one.job.claim_id):
                one.control.request_stop("the claim is lost")

    def requeue_orphans(self) -> None:
        """Queue what this launch has in flight without a worker: a claim whose commit was reported as failed.

        A claim is an orphan when two polls in a row find no worker that holds it.
        """
        claims = set(self._store.jobs.claims(self._launch_id))
        unheld = claims - {(one.job.job_id, one.job.claim_id) for one in self._transfers()}
        for job_id, claim_id in unheld & self._unheld:
            if self._store.jobs.requeue_claim(job_id, claim_id):
                with log_ids(job=job_id):
                    log.warning("job %d: it was claimed but no worker has it; it is queued again", job_id)
                self.wake()
        self._unheld = unheld

    def give_up_stalled(self) -> None:
        """Leave transfers behind that moved no byte for `stall_s`, and start new workers in their place."""
        self._fill_up()
        limit = self._settings.current.sync.stall_s
        since = time.monotonic() - limit
        with self._lock:
            at_work = [(worker, worker.running) for worker in self._workers]
        for worker, running in at_work:
            if running and not running.left_transfer and running.control.last_moved < since:
                self._leave_behind(worker, running, limit)

    def _leave_behind(self, worker: _Worker, running: _Running, limit: float) -> None:
        detail = (
            f"No bytes were transferred for {elapsed(limit)}: the destination or the connection to it is hanging. "
            "exlab-wizard retries automatically with another worker."
        )
        log.warning("job %d: %s", running.job.job_id, detail, extra={"job": running.job.job_id})
        now = self._clock.now()
        settle_s = self._settings.current.sync.settle_s
        if decision := decide_next(running.job.history, Failed(ErrorKind.NETWORK, detail), now, settle_s=settle_s):
            self._store.jobs.finish(running.job, decision, now)
        # Only now: a transfer that reacts earlier would count as cut off by a quit and wait for the next launch.
        running.control.request_stop("stalled")
        with self._lock:
            if worker.left_behind or worker.running is not running:
                return
            worker.left_behind = True
            self._workers.remove(worker)
        self._fill_up()

    def _transfers(self) -> list[_Running]:
        with self._lock:
            return list(self._running.values())

    def _fill_up(self) -> None:
        """Start workers until there are as many as wanted; RuntimeError: no thread is available now."""
        with self._lock:
            while not self._stopping and len(self._workers) < self._wanted:
                worker = _Worker(f"worker-{next(self._number)}", self._loop)
                worker.thread.start()
                self._workers.append(worker)

    def _loop(self, worker: _Worker) -> None:
        job: ClaimedJob | None = None
        news = 0
        log_once = LogOnce(log)
        while job is not None or not worker.left_behind:
            try:
                if job is None:
                    with self._lock:
                        if self._stopping:
                            break
                        news = self._news
                    job = self._store.jobs.claim(self._launch_id, self._clock.now())
                if job is None:
                    self._idle(news)
                else:
                    with log_ids(job=job.job_id):
                        job = self._work_on(worker, job)
                log_once.reset()
            except Exception as error:  # boundary: a worker survives whatever goes wrong with one claim or one result
                log_once.report("a worker cannot continue at the moment", error)
                job = None
                self._pause(ERROR_BACKOFF_SECONDS)
        self._store.database.release()

    def _work_on(self, worker: _Worker, job: ClaimedJob) -> ClaimedJob | None:
        """Run one attempt, write its outcome, and return the next job."""
        running = _Running(job, TransferControl(self.throughput.add))
        with self._lock:
            over = self._stopping or worker.left_behind
            hangs = (earlier := self._running.get(job.job_id)) is not None and not earlier.left_transfer
            if not over and not hangs:
                self._running[job.job_id] = worker.running = running
        if over:
            # Claimed just when everything was forced to stop, or when this worker was left behind.
            if self._store.jobs.requeue_claim(job.job_id, job.claim_id):
                self.wake()
            return None
        if hangs:
            # Two writers on one incoming folder would be worse than waiting.
            detail = "An earlier attempt is still stuck in the operating system. The job resumes when that has ended."
            return self._finish(job, Deferred(WaitReason.EARLIER_ATTEMPT, detail))
        log.info("job %d: syncing %r to %s", job.job_id, job.run_path, job.destination)
        outcome = self._attempts.run(job, running.control)
        running.left_transfer = True
        try:
            return None if worker.left_behind else self._finish(job, outcome)
        finally:
            with self._lock:
                if self._running.get(job.job_id) is running:
                    del self._running[job.job_id]
                worker.running = None
            running.ended.set()
            self._changed()

    def _finish(self, job: ClaimedJob, outcome: Outcome) -> ClaimedJob | None:
        """Retry until the database accepts the outcome: a lost one would leave the row in flight."""
        log_once = LogOnce(log)
        while True:
            now = self._clock.now()
            decision = decide_next(job.history, outcome, now, settle_s=self._settings.current.sync.settle_s)
            if decision is None:
                log.info("job %d: %s", job.job_id, _CLAIM_LOST)
                return None
            try:
                if isinstance(outcome, Deferred) and outcome.reason in DESTINATION_WAITS:
                    until = now + timedelta(seconds=OFFLINE_RECHECK_SECONDS)
                    self._store.jobs.hold(job.destination, outcome.reason, until)
                finished, following = self._store.jobs.finish_and_claim(job, decision, self._launch_id, now)
            except RuleError as error:
                # A retry would be refused too: an error that an operator sees is better than a row in flight.
                log.error("job %d: the database rejects its result: %s", job.job_id, error)  # noqa: TRY400 - the sentence says it all
                if isinstance(outcome, Failed):
                    raise
                outcome = Failed(ErrorKind.UNKNOWN, str(error))
                continue
            except StoreError as error:
                log_once.report(f"job {job.job_id}: its result cannot be written yet", error)
                if self._pause(ERROR_BACKOFF_SECONDS):
                    raise
                continue
            word = decision.state_reason if finished else _CLAIM_LOST
            log.info("job %d: %s%s", job.job_id, word, f": {decision.error_detail}" if decision.error_detail else "")
            return following

    def _idle(self, news: int) -> None:
        """Sleep until there may be work: after `wake`, when a delay is over, or to poll destinations again."""
        wait = self._probes.poll() or IDLE_POLL_INTERVAL_SECONDS
        due = self._store.jobs.next_due_at()
        if due is not None:
            wait = min(wait, max(0.0, (due - self._clock.now()).total_seconds()))
        with self._lock:
            self._work.wait_for(lambda: self._stopping or self._news != news, timeout=wait)

    def _pause(self, seconds: float) -> bool:
        with self._lock:
            return self._work.wait_for(lambda: self._stopping, timeout=seconds)

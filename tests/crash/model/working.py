"""The steps of workers and of those who queue: enqueue, claim, checkpoint, finish, and what a lost claim may not do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from tests.crash.model.compared import AWAY, PROCESSES, Compared
from tests.crash.model.reference import FILES, SETTLE_S, TOTAL, Job, Refused
from tests.support import given

from exlab_wizard.domain.files import FileRecord, FileState
from exlab_wizard.domain.job import ErrorKind, WaitReason
from exlab_wizard.domain.outcome import Completed, Deferred, Failed, Interrupted, Outcome, Superseded, decide_next
from exlab_wizard.errors import MoveRefusedError, RuleError
from exlab_wizard.store.queue.claims import ClaimedJob
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.store.sqlite.driver import driver

OUTCOMES: Final = [
    *("completed",) * 6,
    *("interrupted",) * 2,
    "superseded",
    *(f"failed {kind}" for kind in ErrorKind if kind is not ErrorKind.CRASH_LOOP),
    *(f"deferred {why}" for why in WaitReason),
]
FEW: Final = 8

process: Final = st.integers(0, PROCESSES - 1)
any_one: Final = st.integers(0, 15)
destinations: Final = st.sampled_from(["nas", "tape"])
paths: Final = st.tuples(st.sampled_from([f"/runs/{name}" for name in "abcd"]), destinations)
priorities: Final = st.sampled_from([0, 0, 1, -1])


class Working(Compared):
    """Workers of several processes, each with the claims that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.claims: list[ClaimedJob] = []

    def has_jobs(self) -> bool:
        return bool(self.world.jobs)

    def job(self, pick: int) -> Job:
        """Return one of the newest jobs: what is older has mostly come to rest."""
        newest = sorted(self.world.jobs, reverse=True)[:FEW]
        return self.world.jobs[newest[pick % len(newest)]]

    def one_claim(self, pick: int) -> tuple[ClaimedJob, Job | None]:
        """Return a claim, and its job if it still holds: mostly one that holds, and made now where there is none."""
        holds = self._holding()
        if not holds:
            self.claim(0)
            holds = self._holding()
        among = holds if holds and pick < 12 else self.claims[-FEW:]
        claim = among[pick % len(among)]
        return claim, self.world.held(claim.job_id, claim.claim_id)

    def _holding(self) -> list[ClaimedJob]:
        return [claim for claim in self.claims if self.world.held(claim.job_id, claim.claim_id)]

    def can_work(self) -> bool:
        """Whether there is a claim, or one can be had."""
        return bool(self.claims) or (self.launch.claims and self.world.next_due() is not None)

    def refused_together(self, real: Callable[[], object], model: Callable[[], object]) -> None:
        """Do it to both; either both do it, or both refuse and nothing has changed."""
        try:
            model()
        except Refused:
            refused = True
        else:
            refused = False
        try:
            real()
        except (MoveRefusedError, RuleError, driver.IntegrityError):
            assert refused, "the database refuses what is legal"
        else:
            assert not refused, "the database lets through what is not legal"

    @initialize(new=st.lists(paths, max_size=4))
    def queue_something(self, new: list[tuple[str, str]]) -> None:
        for run, destination in new:
            self.enqueue(0, (run, destination), 0)

    @rule(at=process, new=paths, priority=priorities)
    def enqueue(self, at: int, new: tuple[str, str], priority: int) -> None:
        run, destination = new
        got = self.stores[at].jobs.enqueue(NewJob(run, destination, priority=priority), self.now)
        assert (got.job_id, got.created) == self.world.enqueue(run, destination, self.now, priority)

    @precondition(has_jobs)
    @rule(at=process)
    def claim(self, at: int) -> None:
        got = self.stores[at].jobs.claim(self.launch.id, self.now)
        self.world.promote(self.now)
        self.given(got, self.world.take(self.launch.id))

    def given(self, got: ClaimedJob | None, expected: Job | None) -> None:
        """Compare what a worker got with the job that the model gave it."""
        assert (got is None) == (expected is None)
        if got is None or expected is None:
            return
        expected.claim = got.claim_id
        assert (got.job_id, got.run_path, got.destination) == (expected.id, expected.run, expected.destination)
        assert (got.history.attempts, got.history.last_error) == (expected.attempts, expected.error)
        assert got.claim_id not in {claim.claim_id for claim in self.claims}
        self.claims.append(got)

    @precondition(can_work)
    @rule(at=process, pick=any_one, sent=st.integers(0, TOTAL), read_back=st.integers(0, TOTAL))
    def checkpoint(self, at: int, pick: int, sent: int, read_back: int) -> None:
        self._checkpoint(at, *self.one_claim(pick), sent, read_back)

    def _checkpoint(self, at: int, claim: ClaimedJob, job: Job | None, sent: int, read_back: int) -> None:
        if job is not None and job.state == "verifying":
            sent = TOTAL
        wanted = Job(0, "", "", 0, self.now, None, sent=sent, read_back=min(sent, read_back), has_manifest=True)
        files = [
            FileRecord(name, FILES[name], 1, FileState(state), done, "aa", None if state == "pending" else "bb")
            for name, (state, done) in wanted.files().items()
        ]
        progress = given.progress(sent, TOTAL, wanted.read_back)
        held = self.stores[at].files.checkpoint(claim.job_id, claim.claim_id, files, [], progress)
        assert held == (job is not None)
        if job is not None:
            self.world.checkpoint(job, sent, wanted.read_back)

    @precondition(can_work)
    @rule(at=process, pick=any_one)
    def all_sent(self, at: int, pick: int) -> None:
        self._all_sent(at, *self.one_claim(pick))

    def _all_sent(self, at: int, claim: ClaimedJob, job: Job | None) -> None:
        self._checkpoint(at, claim, job, TOTAL, 0)
        assert self.stores[at].jobs.all_sent(claim.job_id, claim.claim_id) == (job is not None)
        if job is not None:
            job.move("verifying")

    @precondition(can_work)
    @rule(at=process, pick=any_one, how=st.sampled_from(OUTCOMES), then_claim=st.booleans(), early=st.booleans())
    def finish(self, at: int, pick: int, how: str, *, then_claim: bool, early: bool) -> None:
        claim, job = self.one_claim(pick)
        if how == "completed" and job is not None:
            if job.state == "running" and early:
                self._complete_too_early(at, claim, job)
                return
            self._all_sent(at, claim, job)
            self._checkpoint(at, claim, job, TOTAL, TOTAL)
        decision = decide_next(claim.history, _outcome(how), self.now, settle_s=SETTLE_S)
        if decision is None:
            assert how == "superseded"
            return
        jobs = self.stores[at].jobs
        following = None
        if then_claim:
            finished, following = jobs.finish_and_claim(claim, decision, self.launch.id, self.now)
        else:
            finished = jobs.finish(claim, decision, self.now)
        assert finished == (job is not None)
        if job is not None:
            self._ended(job, claim, how)
        if then_claim:
            self.given(following, self.world.take(self.launch.id))

    def _complete_too_early(self, at: int, claim: ClaimedJob, job: Job) -> None:
        """A run that was not read back cannot become verified, whatever a worker says; nothing is claimed either."""
        self.refused_together(
            lambda: self.stores[at].jobs.finish_and_claim(claim, given.DONE, self.launch.id, self.now),
            lambda: job.move("verified"),
        )

    def _ended(self, job: Job, claim: ClaimedJob, how: str) -> None:
        verb, _, noun = how.partition(" ")
        match verb:
            case "completed":
                job.move("verified")
                job.passes, job.error = job.passes + 1, None
            case "interrupted":
                self.world.interrupt(job)
                job.error = None
            case "failed":
                self.world.fail(job, noun, claim.history.last_error, claim.history.attempts, self.now)
            case "deferred":
                self.world.defer(job, noun, self.now)

    @precondition(can_work)
    @rule(at=process, pick=any_one)
    def nobody_holds_it(self, at: int, pick: int) -> None:
        claim, job = self.one_claim(pick)
        assert self.stores[at].jobs.requeue_claim(claim.job_id, claim.claim_id) == (job is not None)
        if job is not None:
            job.move("queued")
            job.give_back()

    @precondition(lambda self: self.claims)
    @rule(at=process)
    def superseded_workers_try_everything(self, at: int) -> None:
        store = self.stores[at]
        for claim in self.claims[-FEW:]:
            if self.world.held(claim.job_id, claim.claim_id):
                continue
            assert not store.jobs.still_claimed(claim.job_id, claim.claim_id)
            assert not store.jobs.all_sent(claim.job_id, claim.claim_id)
            for decision in (given.DONE, given.FAILED, given.CUT_OFF):
                assert not store.jobs.finish(claim, decision, self.now)
            for sent in (0, TOTAL):
                files = [FileRecord(name, size, 2, FileState.VERIFIED, size, "c", "d") for name, size in FILES.items()]
                progress = given.progress(sent, TOTAL, sent)
                assert not store.files.checkpoint(claim.job_id, claim.claim_id, files, list(FILES), progress)
            assert not store.jobs.requeue_claim(claim.job_id, claim.claim_id)

    @precondition(has_jobs)
    @rule(at=process, destination=destinations, why=st.sampled_from(AWAY), over=st.booleans())
    def destination_away(self, at: int, destination: str, why: str, *, over: bool) -> None:
        jobs = self.stores[at].jobs
        if over:
            jobs.release(destination, WaitReason(why))
            self.world.release(destination, why)
        else:
            until = self.now + timedelta(seconds=600)
            jobs.hold(destination, WaitReason(why), until)
            self.world.hold(destination, why, until)

    # A step that has several names is taken that many times as often: most of what happens is work.
    enqueue_2 = enqueue_3 = enqueue
    claim_2 = claim_3 = claim
    checkpoint_2 = checkpoint
    finish_2 = finish_3 = finish_4 = finish


def _outcome(how: str) -> Outcome:
    verb, _, noun = how.partition(" ")
    match verb:
        case "completed":
            return Completed("/nas/run")
        case "interrupted":
            return Interrupted("cut off by a quit")
        case "superseded":
            return Superseded()
        case "failed":
            return Failed(ErrorKind(noun), "what and where")
        case _:
            return Deferred(WaitReason(noun), "what and where")

"""The steps of people: retry and cancel, and what an administrator types into a shell, legal or not."""

from __future__ import annotations

import copy
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from tests.crash.model.reference import IN_FLIGHT, LEGAL, STATES, TOTAL, Refused
from tests.crash.model.working import Working, any_one, process

from exlab_wizard.domain.job import OperatorMove

ALL_FAILED: Final = "UPDATE sync_jobs SET state = 'queued' WHERE state = 'failed'"
OTHER_HISTORY: Final = "DELETE FROM job_events WHERE job_id = ?"


class Repairing(Working):
    """An operator at the command line, and an administrator with SQL, while the program works."""

    def typed(self, sql: str, *values: object) -> None:
        """Run it in a shell, which has foreign keys off as the usual one has."""
        self.shell.execute(sql, values)

    @precondition(Working.has_jobs)
    @rule(at=process, pick=any_one, retry=st.booleans())
    def cancel_or_retry(self, at: int, pick: int, *, retry: bool) -> None:
        job, jobs = self.job(pick), self.stores[at].jobs
        move = OperatorMove.RETRY if retry else OperatorMove.CANCEL
        self.refused_together(
            lambda: jobs.decide([job.id], move),
            lambda: self.world.retry(job) if retry else job.move("cancelled"),
        )

    @precondition(Working.has_jobs)
    @rule(pick=any_one, state=st.sampled_from(STATES), legal=st.booleans())
    def type_a_state(self, pick: int, state: str, *, legal: bool) -> None:
        job = self.job(pick)
        moves = sorted(LEGAL[job.state])
        if legal and moves:
            state = moves[STATES.index(state) % len(moves)]
        if (job.state, state) == ("verifying", "verified") and not job.sent == job.read_back == TOTAL:
            return  # the moves allow it, and `db check` names it
        self.refused_together(
            lambda: self.typed("UPDATE sync_jobs SET state = ? WHERE id = ?", state, job.id),
            lambda: self.world.by_hand(job, state),
        )

    @precondition(Working.has_jobs)
    @rule(pick=any_one)
    def type_a_claim(self, pick: int) -> None:
        job = self.job(pick)
        if self.launch.end is not None or job.state in IN_FLIGHT:
            return
        claim, launch = f"by-hand-{next(self.numbers)}", self.launch.id
        sql = "UPDATE sync_jobs SET state = 'running', claim_id = ?, launch_id = ? WHERE id = ?"
        self.refused_together(
            lambda: self.typed(sql, claim, launch, job.id),
            lambda: self.world.by_hand(job, "running", claim=claim, launch=launch),
        )

    @precondition(Working.has_jobs)
    @rule(pick=any_one, what=st.sampled_from(["priority", "due", "delete", "all failed", "history"]))
    def type_something_else(self, pick: int, what: str) -> None:
        job = self.job(pick)
        match what:
            case "priority":
                job.priority = pick % 3 - 1
                self.typed("UPDATE sync_jobs SET priority = ? WHERE id = ?", job.priority, job.id)
            case "due":
                job.not_before = None
                self.typed("UPDATE sync_jobs SET not_before = NULL WHERE id = ?", job.id)
            case "delete":
                delete = "DELETE FROM sync_jobs WHERE id = ?"
                self.refused_together(lambda: self.typed(delete, job.id), lambda: self.world.delete(job))
            case "all failed":
                self.refused_together(lambda: self.typed(ALL_FAILED), self._retry_all)
            case "history" if job.moves:
                self.refused_together(lambda: self.typed(OTHER_HISTORY, job.id), _refuse)

    def _retry_all(self) -> None:
        """All of them or, when one would be pending twice, none."""
        before = copy.deepcopy(self.world)
        try:
            for job in self.world.jobs.values():
                if job.state == "failed":
                    self.world.retry(job)
        except Refused:
            self.world = before
            raise


def _refuse() -> None:
    raise Refused

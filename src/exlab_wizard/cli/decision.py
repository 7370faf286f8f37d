"""An operator's decision about jobs, taken in the database: about all of them in one transaction, or about none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exlab_wizard.cli.commands.jobs import no_such_job
from exlab_wizard.domain.job import JobState, legal_moves
from exlab_wizard.errors import RefusedError, StoreError
from exlab_wizard.paths import StateDir
from exlab_wizard.process.open_store import opened
from exlab_wizard.store.queue.jobs import CANCEL, RETRY, STATE_OF
from exlab_wizard.store.sqlite.statement import Statement

_STATEMENTS: Final[dict[JobState, Statement]] = {JobState.QUEUED: RETRY, JobState.CANCELLED: CANCEL}


def decide(state_dir: StateDir, ids: Sequence[int], target: JobState, *, may_be_done: bool) -> None:
    """Move the jobs to `target`: queued is a retry of failed ones, cancelled ends what is not finished.

    With `may_be_done` a job that is there already is left as it is: the answer of whoever moved it was lost.

    Raises:
        UsageError: there is no job of one of the ids.
        RefusedError: the state of one forbids it; nothing was changed.
    """
    try:
        with opened(state_dir) as store, store.database.transaction() as transaction:
            for job_id in dict.fromkeys(ids):
                rows = transaction.run(STATE_OF, {"job": job_id})
                if not rows:
                    raise no_such_job(job_id)
                state = JobState(str(rows[0][0]))
                if may_be_done and state is target:
                    continue
                if not _allowed(state, target):
                    raise _refusal(job_id, state, target)
                transaction.change(_STATEMENTS[target], {"job": job_id})
    except StoreError as error:
        if target is not JobState.QUEUED or "UNIQUE" not in str(error):
            raise
        msg = "the same run is pending for the same destination again, in another job; nothing was changed"
        raise RefusedError(msg) from error


def _allowed(state: JobState, target: JobState) -> bool:
    # A worker too may queue a job again; an operator only one that failed.
    return state is JobState.FAILED if target is JobState.QUEUED else target in legal_moves(state)


def _refusal(job_id: int, state: JobState, target: JobState) -> RefusedError:
    # Only an operator's moves are of use to the reader; a worker's are not.
    possible = [f"`exlab-wizard cancel {job_id}`"] if JobState.CANCELLED in legal_moves(state) else []
    if state is JobState.FAILED:
        possible.append(f"`exlab-wizard retry {job_id}`")
    verb = "retried" if target is JobState.QUEUED else "cancelled"
    can = f"possible: {', '.join(possible)}" if possible else "nothing is left to decide about it"
    return RefusedError(f"job {job_id} is {state} and cannot be {verb}; {can}. Nothing was changed.")

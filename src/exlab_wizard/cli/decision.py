"""An operator's decision about jobs: all of them are decided in one transaction, or none.

The running application decides about one job; several at once go to the database, which takes them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from exlab_wizard.cli.locations import Locations
from exlab_wizard.cli.options import no_such_job
from exlab_wizard.cli.remote import from_application
from exlab_wizard.cli.terminal.output import emit, say
from exlab_wizard.domain.job import JobState, OperatorMove, operator_moves, refusal
from exlab_wizard.errors import RefusedError, StoreError
from exlab_wizard.paths import StateDir

if TYPE_CHECKING:
    from exlab_wizard.client import Client


def decide(locations: Locations, ids: Sequence[int], move: OperatorMove, done: str, *, as_json: bool) -> bool:
    """Make the move on each job, print it as `done`, and return whether the application runs.

    Raises:
        UsageError: there is no job of one of the ids.
        RefusedError: the state of one forbids it; nothing was changed.
    """
    ids = list(dict.fromkeys(ids))
    may_be_done = False

    def request(client: Client) -> bool | None:
        nonlocal may_be_done
        if len(ids) > 1:
            return None
        from exlab_wizard.client import UnreachableError  # noqa: PLC0415 - loaded by now, since there is a client

        try:
            client.call("POST", f"/jobs/{ids[0]}/{move}", repeat=False)
        except UnreachableError as error:
            may_be_done = error.sent
            raise
        return True

    target = JobState.QUEUED if move is OperatorMove.RETRY else JobState.CANCELLED
    running = bool(from_application(locations, request))
    if not running:
        from exlab_wizard.process.instance_lock import is_running  # noqa: PLC0415 - the application answers most calls

        _decide_in_database(locations.state_dir, ids, move, unless=target if may_be_done else None)
        running = is_running(locations.state_dir)
    if as_json:
        emit([{"id": job_id, "state": target.value} for job_id in ids])
    else:
        for job_id in ids:
            say(f"job {job_id} {done}")
    return running


def _decide_in_database(
    state_dir: StateDir, ids: Sequence[int], move: OperatorMove, *, unless: JobState | None
) -> None:
    """Make the move; a job in the state `unless` stays as it is: the application moved it, and its answer was lost."""
    from exlab_wizard.process.open_store import opened  # noqa: PLC0415 - the application answers most calls
    from exlab_wizard.store.queue.jobs import CANCEL, RETRY, STATE_OF  # noqa: PLC0415 - likewise

    try:
        with opened(state_dir) as store, store.database.transaction() as transaction:
            for job_id in ids:
                rows = transaction.run(STATE_OF, {"job": job_id})
                if not rows:
                    raise no_such_job(job_id)
                state = JobState(str(rows[0][0]))
                if state is unless:
                    continue
                if move not in operator_moves(state):
                    msg = f"{refusal(job_id, state, move)}. Nothing was changed."
                    raise RefusedError(msg)
                transaction.change(RETRY if move is OperatorMove.RETRY else CANCEL, {"job": job_id})
    except StoreError as error:
        if move is not OperatorMove.RETRY or "UNIQUE" not in str(error):
            raise
        msg = "another job for the same run and destination is already pending; nothing was changed"
        raise RefusedError(msg) from error

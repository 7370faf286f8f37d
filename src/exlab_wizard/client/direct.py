"""The last way into the queue: the database itself, where the application does not answer.

What it writes is what the application would have written, in one transaction. This is the only module of the client
that loads SQLAlchemy, and it is imported only when it is needed.
"""

from __future__ import annotations

from collections.abc import Sequence

from exlab_wizard.client.errors import RunToSync
from exlab_wizard.domain.views import LeaseState
from exlab_wizard.paths import StateDir
from exlab_wizard.process.identity import SystemClock
from exlab_wizard.process.open_store import opened
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.store.store import Store


def complete(
    state_dir: StateDir, session_id: str | None, equipment_id: str | None, runs: Sequence[RunToSync]
) -> list[int]:
    """Close the session if it is still active and queue its runs; return their jobs, in the order of the runs.

    Raises:
        ExlabError: nothing was changed; the message says why.
    """
    new = [NewJob(run.path, run.destination, equipment_id, session_id) for run in runs]
    now = SystemClock().now()
    with opened(state_dir, create=True) as store:
        if session_id is not None:
            queued = store.sessions.complete(session_id, new, now)
            if queued is not None:
                return [job.job_id for job in queued]
            before = _completed_before(store, session_id, new)
            if before is not None:
                return before
        plain = [NewJob(run.path, run.destination, equipment_id) for run in runs]
        return [job.job_id for job in store.jobs.enqueue_all(plain, now)]


def _completed_before(store: Store, session_id: str, runs: Sequence[NewJob]) -> list[int] | None:
    """Return the jobs of a completion whose answer was lost; they may even be done by now.

    Not of a session that ended otherwise: an older job of the same run says nothing about what was added since.
    """
    lease = store.sessions.find(session_id)
    if lease is None or lease.state is not LeaseState.COMPLETED:
        return None
    return store.sessions.jobs_of_completed(session_id, runs)

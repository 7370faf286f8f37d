"""The last way into the queue: the database itself, where the application does not answer.

What it writes is what the application would have written, in one transaction. This is the only module of the client
that loads SQLAlchemy, and it is imported only when it is needed.
"""

from __future__ import annotations

from collections.abc import Sequence

from exlab_wizard.client.errors import RunToSync
from exlab_wizard.paths import StateDir
from exlab_wizard.runtime.access import opened
from exlab_wizard.runtime.host import SystemClock
from exlab_wizard.store.jobs import NewJob


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
        plain = [NewJob(run.path, run.destination, equipment_id) for run in runs]
        return [job.job_id for job in store.jobs.enqueue_all(plain, now)]

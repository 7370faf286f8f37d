"""For acquisition software and scripts: talk to the running application, and let it wait for your work.

    from exlab_wizard.client import Client

    client = Client.connect()
    with client.session(kind="run", label="SEM, sample 7", operator="Ada") as session:
        acquire(folder)
        session.add_run(folder, "nas")

While the block runs, a quit of the application waits for it. When it ends, its runs are queued: with the session, or,
where the application has ended meanwhile, directly in its database. When it raises, nothing is queued.

Nothing heavy is imported: the standard library only, and SQLAlchemy no sooner than the database itself is needed.
"""

from __future__ import annotations

from exlab_wizard.client.client import Client
from exlab_wizard.client.errors import AnswerError, NotRunningError, RunsNotQueuedError, RunToSync, UnreachableError
from exlab_wizard.client.events import Event
from exlab_wizard.client.queue_runs import Queued
from exlab_wizard.client.session import Session
from exlab_wizard.domain.views import Component, Drain, Health, Job, JobEvent, Lease, SessionRow

__all__ = [
    "AnswerError",
    "Client",
    "Component",
    "Drain",
    "Event",
    "Health",
    "Job",
    "JobEvent",
    "Lease",
    "NotRunningError",
    "Queued",
    "RunToSync",
    "RunsNotQueuedError",
    "Session",
    "SessionRow",
    "UnreachableError",
]

"""A program that embeds us, as small as can be: it completes a session, which queues the session's runs."""

from __future__ import annotations

import sys
from pathlib import Path

from exlab_wizard.runtime.host import SystemClock
from exlab_wizard.store.database import Database
from exlab_wizard.store.jobs import NewJob
from exlab_wizard.store.store import Store


def complete(database: str, session: str, *runs: str) -> None:
    store = Store(Database(Path(database)))
    store.sessions.complete(session, [NewJob(run, "nas", session_id=session) for run in runs], SystemClock().now())
    store.close()


if __name__ == "__main__":
    complete(*sys.argv[1:])

"""The client on a lab's application."""

from __future__ import annotations

from exlab_wizard.client import Client, Session, UnreachableError
from exlab_wizard.store.sqlite.values import Value
from exlab_wizard.testing import Lab, until

SHORT_TTL_SECONDS = 3.0
"""A heartbeat each second."""


def connected(lab: Lab) -> Client:
    """Return a client once the server answers, which is a moment after the application is ready."""
    client = Client.at(lab.state)

    def answers() -> bool:
        try:
            client.url()
        except UnreachableError:
            return False
        return True

    until(answers, what="the server to answer")
    return client


def session_state(lab: Lab, session_id: str) -> object:
    """Return what the database says about a session."""
    return lab.value("SELECT state FROM session_leases WHERE id = ?", session_id)


def jobs(lab: Lab) -> list[tuple[Value, ...]]:
    """Return run and session of every job."""
    return lab.query("SELECT run_path, session_id FROM sync_jobs ORDER BY id")


def jobs_of(lab: Lab, session: Session) -> list[Value]:
    """Return the runs that were queued with a session."""
    return [run for (run,) in lab.query("SELECT run_path FROM sync_jobs WHERE session_id = ? ORDER BY id", session.id)]

"""Session leases: foreground work is in progress, kept alive by heartbeats.

A lease that is not renewed in time expires, so that a dead client never keeps the application from quitting.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

MAX_TTL_SECONDS: Final = 3600.0


class LeaseState(StrEnum):
    """The state of a session lease; only `active` ones delay a quit, and every other state is final."""

    ACTIVE = "active"
    COMPLETED = "completed"
    ABORTED = "aborted"
    EXPIRED = "expired"


class SessionKind(StrEnum):
    """What kind of foreground work a lease protects."""

    RUN = "run"
    """An instrument writes a run."""
    PROJECT = "project"
    """A person fills in a creation wizard."""


def expiry(now: datetime, ttl_s: float) -> datetime:
    """Return when a lease renewed at `now` runs out."""
    return now + timedelta(seconds=ttl_s)

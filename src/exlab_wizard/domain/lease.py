"""Session leases: a promise that foreground work goes on, kept alive by heartbeats.

A lease that is not renewed in time expires by itself, so that a dead client never keeps the application from quitting.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

DEFAULT_TTL_SECONDS: Final = 60.0
MAX_TTL_SECONDS: Final = 3600.0


class LeaseState(StrEnum):
    """Where a session lease stands; only `active` ones hold back a quit, and no other state is ever left."""

    ACTIVE = "active"
    COMPLETED = "completed"
    ABORTED = "aborted"
    EXPIRED = "expired"


class SessionKind(StrEnum):
    """What kind of foreground work a lease protects."""

    RUN = "run"
    """An acquisition writes its run."""
    PROJECT = "project"
    """Somebody fills in a creation wizard."""


def expiry(now: datetime, ttl_s: float) -> datetime:
    """Return when a lease renewed at `now` runs out."""
    return now + timedelta(seconds=ttl_s)

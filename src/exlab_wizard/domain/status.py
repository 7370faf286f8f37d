"""What runs, waits and failed at one moment: what `exlab-wizard status` shows, wherever it was read."""

from __future__ import annotations

from dataclasses import dataclass

from exlab_wizard.domain.quit import Blocker

Row = dict[str, str | int | float | None]
"""One row of the database, by the names of its columns."""


@dataclass(frozen=True, slots=True)
class OpenLaunch:
    """The launch that has not ended, as the database knows it; whether it lives is for the instance lock to say."""

    id: int
    pid: int
    host: str
    version: str
    started_at: str
    draining_since: str | None
    paused_since: str | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """Unfinished jobs in one state, and the bytes of them that are not on the destination yet."""

    jobs: int
    bytes_left: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Queued jobs for one destination that wait for the same thing."""

    destination: str
    waiting_on: str
    jobs: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything at a glance; `pending` is by state, `sessions` are the active ones, rows are as in the database."""

    launch: OpenLaunch | None
    pending: dict[str, Pending]
    in_flight: list[Blocker]
    waiting: list[Waiting]
    failed: int
    sessions: list[Row]
    last_launch: Row | None

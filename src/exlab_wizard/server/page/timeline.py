"""The history of a job, one sentence for each move. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.text.jobs import move
from exlab_wizard.domain.views import JobEvent

_SIGNS: Final = {
    JobState.QUEUED: "wait",
    JobState.RUNNING: "send",
    JobState.VERIFYING: "check",
    JobState.VERIFIED: "ok",
    JobState.CLEANED: "ok",
    JobState.RESUMABLE: "pause",
    JobState.FAILED: "warn",
    JobState.CANCELLED: "off",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the timeline; `sign` is the name of an icon."""

    number: int
    at: datetime
    sign: str
    words: str
    detail: str | None
    launch_id: int | None


def state_sign(state: object) -> str:
    """Return the name of the icon of a state."""
    return _SIGNS[JobState(str(state))]


def step(event: JobEvent) -> Step:
    """Return a move of a job in words; a reason written by an administrator is kept as it is."""
    state, reason = event.to_state, event.reason or ""
    detail = event.detail if state in (JobState.FAILED, JobState.QUEUED) else None
    return Step(event.id, event.at, state_sign(state), move(state, reason), detail, event.launch_id)

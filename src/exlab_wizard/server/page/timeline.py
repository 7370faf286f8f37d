"""The history of a job, one sentence for each move. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.text.amounts import times
from exlab_wizard.domain.text.jobs import WAITS
from exlab_wizard.domain.text.quit import ENDINGS
from exlab_wizard.domain.views import Job, JobEvent

_WAITS: Final = {f"waits: {reason}": f"Waiting: {wait.reason}" for reason, wait in WAITS.items()}
_REASONS: Final = _WAITS | {
    "enqueued": "Queued",
    "paused": "Interrupted by a pause; resumes where it stopped",
    "retried by an operator": "Retried by an operator",
    "cancelled by an operator": "Cancelled by an operator",
    "resumed by the next launch": "Queued again by the next launch; resumes where it stopped",
    "no worker held its claim": "Queued again: no worker was processing it",
    "cut off by a quit": "Interrupted by a quit; resumes at the next launch",
}
_INTERRUPTED: Final = {reason: f"Interrupted: ExLab-Wizard {ended}" for reason, ended in ENDINGS.items()}
_ENTERED: Final = {
    JobState.QUEUED: ("wait", "Queued again"),
    JobState.RUNNING: ("send", "Sending started"),
    JobState.VERIFYING: ("check", "All bytes sent; reading them back"),
    JobState.VERIFIED: ("ok", "Verified: every byte was read back and matches; the run is published"),
    JobState.CLEANED: ("ok", "Local copy removed"),
    JobState.RESUMABLE: ("pause", "Interrupted; resumes at the next launch"),
    JobState.FAILED: ("warn", "Failed"),
    JobState.CANCELLED: ("off", "Cancelled"),
}
"""Icon and words of each state that a job enters."""


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
    return _ENTERED[JobState(str(state))][0]


def step(event: JobEvent) -> Step:
    """Return a move of a job in words; a reason written by an administrator is kept as it is."""
    state, reason = event.to_state, event.reason or ""
    detail = event.detail if state in (JobState.FAILED, JobState.QUEUED) else None
    return Step(event.id, event.at, state_sign(state), _words(state, reason), detail, event.launch_id)


def _words(state: JobState, reason: str) -> str:
    entered = _ENTERED[state][1]
    if reason in _REASONS:
        return _REASONS[reason]
    if reason in _INTERRUPTED:
        # Recovery writes how the launch ended at both steps: into resumable, and out of it.
        return _INTERRUPTED[reason] if state is JobState.RESUMABLE else _REASONS["resumed by the next launch"]
    if reason.startswith("tried again: "):
        return "The attempt failed and will be retried automatically"
    if reason == "changed with SQL":
        return f"{entered} (by SQL)"
    ours = ("claimed", "all bytes sent", "read back and published", f"failed: {reason.removeprefix('failed: ')}", "")
    return entered if reason in ours else f"{entered}: {reason}"


def budget(job: Job) -> list[str]:
    """Return what the counters of a job mean, in sentences; none where there is nothing to explain."""
    attempts, interruptions, crashes = job.attempts, job.interruptions, job.crashes
    told = []
    if attempts > 1:
        told.append(f"Attempted {times(attempts)}. After five retries a network error needs you.")
    if interruptions:
        told.append(
            f"Interrupted {times(interruptions)} by a quit, and resumed where it stopped. This uses no attempt."
        )
    if crashes:
        told.append(
            f"ExLab-Wizard ended unexpectedly {times(crashes)} in a row while it worked on this run. Progress resets"
            " this count; after the third time the run waits for you, so that it does not block the other runs."
        )
    return told

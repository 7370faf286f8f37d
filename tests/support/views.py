"""Views as tests need them: only what matters is named."""

from __future__ import annotations

from dataclasses import fields

from exlab_wizard.domain.codec import decode
from exlab_wizard.domain.views import Job, JobEvent

NOW = "2026-11-24T08:00:00.000Z"


def job(**known: object) -> Job:
    """Return a queued job of which this is known; counters are 0."""
    blank = {field.name: 0 if field.type == "int" else None for field in fields(Job)}
    return decode(
        Job, {**blank, "id": 1, "run_path": "/r", "destination": "nas", "state": "queued", "enqueued_at": NOW, **known}
    )


def event(**known: object) -> JobEvent:
    """Return a move of which this is known."""
    blank = {"from_state": None, "reason": None, "launch_id": 1, "detail": None}
    return decode(JobEvent, {**blank, "id": 5, "job_id": 1, "at": NOW, "to_state": "queued", **known})

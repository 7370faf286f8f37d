"""What a quit says on every surface: its question, the choices, what it waits for, what becomes of the rest. Pure."""

from __future__ import annotations

from typing import Final

from exlab_wizard.domain.quit import Blocker, QuitAnswer, QuitStatus
from exlab_wizard.domain.text.amounts import about, percent, plural, rounded, size, verb
from exlab_wizard.domain.text.names import visible

CHOICES: Final[tuple[tuple[QuitAnswer, str], ...]] = (
    ("force", "Force quit"),
    ("wait", "Wait"),
    ("keep_running", "Keep running"),
)
ENDINGS: Final = {
    "drained": "quit with nothing in flight",
    "forced": "quit while runs were in flight",
    "crashed": "ended unexpectedly",
    "host_restarted": "ended when the computer restarted or lost power",
}
"""How a launch ended, after its subject."""


def question(operations: int | None) -> str:
    """Return the question's first line; None is an unknown number."""
    if operations is None:
        return "Cannot tell what is still running. Force quit anyway?"
    return f"{plural(operations, 'operation')} still running. Force quit anyway?"


def promise(operations: int | None) -> str:
    """Return what becomes of the work if the quit is forced."""
    return f"{'It' if operations in (None, 1) else 'They'} will resume at the next launch."


def question_in_full(status: QuitStatus) -> str:
    """Return the whole question without its choices, for a terminal."""
    operations = None if status.count is None else status.count.operations
    details = [status.trouble] if operations is None else [describe(blocker) for blocker in status.blockers]
    return "\n".join([question(operations), *(f"  {line}" for line in details), promise(operations)])


def describe(blocker: Blocker) -> str:
    """Return one operation in one line."""
    name = visible(blocker.label)
    return ": ".join(filter(None, (name, ", ".join(facts(blocker)))))


def facts(blocker: Blocker) -> list[str]:
    """Return how far one operation is, what is left to do, and how long that takes; what is unknown is left out."""
    if blocker.kind == "session":
        return [] if blocker.eta_s is None else [f"its lease expires in {rounded(blocker.eta_s)}"]
    done = None if blocker.percent is None else percent(blocker.percent)
    left = None if blocker.bytes_left is None else f"{size(blocker.bytes_left)} left to send"
    time = None if blocker.eta_s is None else f"{about(blocker.eta_s)} left"
    return [fact for fact in (done, left, time) if fact is not None]


def ending(reason: str) -> str:
    """Return how a launch ended; a reason that an administrator wrote is kept."""
    return ENDINGS.get(reason, reason)


def resumption(runs: int, *, unexpected: bool) -> str:
    """Return what a launch resumed; `unexpected` says how the last one ended."""
    return f"{plural(runs, 'run')} resumed after ExLab-Wizard {ENDINGS['crashed' if unexpected else 'forced']}."


def farewell(resumable: int, queued: int) -> str:
    """Return what becomes of the unfinished runs after a quit."""
    resumed = f"{plural(resumable, 'run')} {verb(resumable, 'resumes')}" if resumable else ""
    started = f"{plural(queued, 'waiting run')} {verb(queued, 'starts')}" if queued else ""
    pending = " and ".join(filter(None, (resumed, started)))
    return f"{pending} at the next launch." if pending else "Nothing is pending."

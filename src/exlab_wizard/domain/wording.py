"""How a quit's question reads, the same on every surface."""

from __future__ import annotations

from exlab_wizard.domain.quit import Blocker, QuitStatus, headline
from exlab_wizard.domain.text import plain, size

TRUTH = "It will resume at the next launch."
_MINUTE, _HOUR = 60, 3600


def duration(seconds: float) -> str:
    """Return a time for people, in the coarsest unit that says enough."""
    if seconds < _MINUTE:
        return f"{max(1, round(seconds))} s"
    if seconds < _HOUR:
        return f"{round(seconds / _MINUTE)} min"
    return f"{seconds / _HOUR:.1f} h"


def describe(blocker: Blocker) -> str:
    """Return one operation in one line."""
    if blocker.kind == "session":
        left = f", its lease ends in {duration(blocker.eta_s)}" if blocker.eta_s is not None else ""
        return f"session: {plain(blocker.label)}{left}"
    parts = [plain(blocker.label)]
    if blocker.percent is not None:
        parts.append(f"{blocker.percent:.0f} %")
    if blocker.bytes_left is not None:
        parts.append(f"{size(blocker.bytes_left)} left to send")
    if blocker.eta_s is not None:
        parts.append(f"about {duration(blocker.eta_s)}")
    return ", ".join(parts)


def question(standing: QuitStatus) -> str:
    """Return the whole question but for its choices."""
    if standing.count is None:
        return f"{headline(None)}\n  {standing.trouble}\n{TRUTH}"
    lines = [headline(standing.count.operations)]
    lines += [f"  {describe(blocker)}" for blocker in standing.blockers]
    return "\n".join([*lines, TRUTH])

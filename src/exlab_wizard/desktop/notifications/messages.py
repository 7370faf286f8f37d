"""What notifications say, and when there is something to say: pure, time is an argument.

Nothing is said of what goes well by itself. What happens often within seconds is said once, with a count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from exlab_wizard.domain.job import WaitReason
from exlab_wizard.domain.quit import Blocker, QuitAnswer, QuitStatus, headline
from exlab_wizard.domain.text import plain
from exlab_wizard.domain.wording import TRUTH, describe, duration
from exlab_wizard.store.queue.launches import Recovery
from exlab_wizard.store.reports.events import Failure

TOGETHER_SECONDS: Final = 5.0
"""Failures within so many seconds are one notification."""
QUIET_SECONDS: Final = 10.0
"""For so long nothing waits for a destination before it may be back: a try that fails again takes less."""
QUESTION: Final = "question"
FAILED: Final = "failed"
CHOICES: Final[tuple[tuple[QuitAnswer, str], ...]] = (
    ("force", "Force quit"),
    ("wait", "Wait"),
    ("keep_running", "Keep running"),
)
_MOST_NAMED: Final = 3
_LONGEST_NAME: Final = 60
_LONGEST_DETAIL: Final = 300
_PERCENT_STEP: Final = 5

Gist = tuple[tuple[object, ...], tuple[object, ...]]
"""Which operations the question is about, and how far they are."""
Held = Mapping[tuple[str, WaitReason], int]
"""Destination and what is the matter with it, to the number of jobs that wait for that."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification, in plain text. One with the same `key` replaces it; a click leads to `page` of the window.

    Some daemons cut a title after some thirty characters: what matters stands in the body, too.
    """

    key: str
    title: str
    body: str
    page: str
    buttons: tuple[tuple[str, str], ...] = ()
    urgent: bool = False
    """It waits for an answer: shown above everything, until it is answered."""
    lasting: bool = True
    """It stays until somebody has seen it."""


def resumed(recovery: Recovery) -> Notice | None:
    """Return what a launch after a bad end has to say; None after a good one, or when nothing was cut off."""
    if not (recovery.crashed or recovery.host_restarted):
        return None
    told = []
    if recovery.resumed:
        told.append(f"{_runs(recovery.resumed)} resumed after the last session ended unexpectedly. Nothing was lost.")
    if recovery.crash_loops:
        told.append(f"{_runs(recovery.crash_loops)} failed, in flight at three such ends: look at the log, then retry.")
    if not told:
        return None
    title = f"{_runs(recovery.resumed)} resumed" if recovery.resumed else "The last session ended unexpectedly"
    failed = bool(recovery.crash_loops)
    return Notice("resumed", title, "\n".join(told), "/history?state=failed" if failed else "/", lasting=failed)


def asked(standing: QuitStatus) -> Notice:
    """Return the question of a quit."""
    blockers = standing.blockers[:_MOST_NAMED]
    lines = [describe(_shortened(blocker)) for blocker in blockers] or [plain(standing.trouble)[:_LONGEST_DETAIL]]
    count = None if standing.count is None else standing.count.operations
    if count is not None and count > len(blockers):
        lines.append(f"and {count - len(blockers)} more")
    body = "\n".join([*filter(None, lines), TRUTH])
    return Notice(QUESTION, headline(count), body, "/quit", CHOICES, urgent=True)


def gist(standing: QuitStatus) -> Gist:
    """Return which operations the question is about, and how far they are, roughly: two questions may say the same."""
    which = tuple((blocker.kind, blocker.id) for blocker in standing.blockers)
    count = None if standing.count is None else standing.count.operations
    far = (None if blocker.percent is None else int(blocker.percent // _PERCENT_STEP) for blocker in standing.blockers)
    return (count, *which), tuple(far)


class Failures:
    """Jobs that failed for good and that nobody has seen yet."""

    def __init__(self) -> None:
        """Know of none."""
        self._unseen: dict[int, Failure] = {}
        self._due = float("inf")

    def add(self, failures: Sequence[Failure], now: float) -> None:
        """Take note; `now` in seconds. What fails within `TOGETHER_SECONDS` of the first is said with it."""
        self._unseen.update((failure.job_id, failure) for failure in failures)
        if failures:
            self._due = min(self._due, now + TOGETHER_SECONDS)

    @property
    def due(self) -> float:
        """When there is something to say; infinity for never."""
        return self._due

    def notice(self, now: float) -> Notice | None:
        """Return what is to be said now, with what was said before and not seen."""
        if now < self._due:
            return None
        self._due = float("inf")
        first, *others = self._unseen.values()
        if not others:
            body = f"{_name(first.run_path)} to {first.destination}: {_detail(first)}"
            return Notice(FAILED, "1 run was not synced", body, f"/runs/{first.job_id}")
        named = [f"{_name(failure.run_path)}: {failure.kind}" for failure in [first, *others][:_MOST_NAMED]]
        more = 1 + len(others) - len(named)
        body = "\n".join([*named, *([f"and {more} more"] if more else []), "Click to see what to do."])
        return Notice(FAILED, f"{_runs(1 + len(others))} were not synced", body, "/history?state=failed")

    def seen(self) -> None:
        """Forget them: somebody has looked."""
        self._unseen.clear()
        self._due = float("inf")


@dataclass(slots=True)
class _Outage:
    since: float
    said: bool = False
    quietly: bool = False
    """It was due when nothing was to be said."""
    quiet_since: float | None = None
    last_move: int = 0
    """When it was said: what arrives afterwards proves that it is over."""
    sent: dict[int, int] = field(default_factory=dict)


class Outages:
    """Destinations that jobs wait for, each said once when it takes long, and once when it is over."""

    def __init__(self) -> None:
        """Know of none."""
        self._known: dict[tuple[str, WaitReason], _Outage] = {}

    def look(self, held: Held, last_move: int, now: float, after_s: float, *, quiet: bool = False) -> list[Notice]:
        """Return what is to be said of destinations that jobs wait for since `after_s` seconds; `now` in seconds.

        What is due while it is to be `quiet` is not said later either.
        """
        found: list[Notice] = []
        for key in held:
            self._known.setdefault(key, _Outage(now))
        for key, outage in list(self._known.items()):
            if key in held:
                outage.quiet_since, outage.sent = None, {}
                if not outage.said and now - outage.since >= after_s:
                    outage.said, outage.quietly, outage.last_move = True, quiet, last_move
                    if not quiet:
                        found.append(_out(*key, held[key], now - outage.since))
                continue
            outage.quiet_since = now if outage.quiet_since is None else outage.quiet_since
            if not outage.said and now - outage.quiet_since >= QUIET_SECONDS:
                del self._known[key]
        return found

    def due(self, now: float, after_s: float) -> float:
        """Return when to look again though nothing changes; infinity for never."""
        moments = [_next(outage, after_s) for outage in self._known.values()]
        return min((moment for moment in moments if moment > now), default=float("inf"))

    def maybe_over(self, now: float) -> list[tuple[str, int]]:
        """Return destinations that were said to be out and that nothing waits for any more, with the move of then."""
        return [
            (name, outage.last_move)
            for (name, _), outage in self._known.items()
            if outage.said and outage.quiet_since is not None and now - outage.quiet_since >= QUIET_SECONDS
        ]

    def back(self, name: str, *, arrived: bool, sent: dict[int, int]) -> list[Notice]:
        """Return that `name` is back, if that is proven: a run `arrived`, or a job in flight has `sent` more bytes."""
        found: list[Notice] = []
        for key, outage in list(self._known.items()):
            if key[0] != name or not outage.said or outage.quiet_since is None:
                continue
            moved = any(job in outage.sent and done > outage.sent[job] for job, done in sent.items())
            outage.sent = sent | {job: done for job, done in outage.sent.items() if job in sent}
            if arrived or moved:
                del self._known[key]
                if outage.quietly:
                    continue
                again = "is back" if key[1] is WaitReason.DESTINATION_OFFLINE else "has room again"
                body = "Runs are synced to it again."
                found.append(Notice(_key(*key), f"{name} {again}", body, "/", lasting=False))
        return found


def _next(outage: _Outage, after_s: float) -> float:
    if outage.quiet_since is not None:
        return outage.quiet_since + QUIET_SECONDS
    return float("inf") if outage.said else outage.since + after_s


def _out(name: str, reason: WaitReason, jobs: int, seconds: float) -> Notice:
    waits = f"{_runs(jobs)} {'waits' if jobs == 1 else 'wait'}"
    if reason is WaitReason.DESTINATION_OFFLINE:
        title = f"{name} is offline since {duration(seconds)}"
        remedy = f"{waits}. Check network and NAS, and that the share is mounted"
    else:
        title = f"{name} is full since {duration(seconds)}"
        remedy = f"{waits}. Make room there"
    return Notice(_key(name, reason), title, f"{remedy}; syncing goes on by itself.", "/")


def _key(name: str, reason: WaitReason) -> str:
    return f"{reason}:{name}"


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _name(path: str) -> str:
    """Return the run's own name, which may hold anything, in a form that can be shown."""
    name = plain(path.replace("\\", "/").rstrip("/").rpartition("/")[2] or path)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME // 2]}…{name[-_LONGEST_NAME // 2 :]}"


def _detail(failure: Failure) -> str:
    told = plain(failure.detail or failure.kind)
    return told if len(told) <= _LONGEST_DETAIL else f"{told[:_LONGEST_DETAIL]}…"


def _shortened(blocker: Blocker) -> Blocker:
    label = _name(blocker.label) if blocker.kind == "job" else blocker.label[:_LONGEST_NAME]
    return Blocker(blocker.kind, blocker.id, label, blocker.since, blocker.bytes_left, blocker.percent, blocker.eta_s)

"""What notifications say, and when. Pure: time is an argument.

Success is silent. Events that come in numbers within seconds become one notification with a count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from exlab_wizard.domain.job import WaitReason
from exlab_wizard.domain.quit import Blocker, QuitStatus
from exlab_wizard.domain.text.amounts import number, plural, rounded, verb
from exlab_wizard.domain.text.jobs import ERRORS, WAITS
from exlab_wizard.domain.text.names import run_name, shortened, visible
from exlab_wizard.domain.text.quit import CHOICES, describe, promise, question, resumption
from exlab_wizard.store.queue.launches import Recovery
from exlab_wizard.store.reports.events import Failure

TOGETHER_SECONDS: Final = 5.0
"""Failures within this time are one notification."""
QUIET_SECONDS: Final = 10.0
"""How long nothing must wait for a destination before it counts as back: an attempt that fails again takes less."""
QUESTION: Final = "question"
FAILED: Final = "failed"
_MOST_NAMED: Final = 3
_LONGEST_NAME: Final = 60
_LONGEST_DETAIL: Final = 300
_PERCENT_STEP: Final = 5

Gist = tuple[tuple[object, ...], tuple[object, ...]]
"""The operations that the question names, and how far they are."""
Waiting = Mapping[tuple[str, WaitReason], int]
"""From destination and reason to the number of jobs that wait."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification, in plain text. One with the same `key` replaces it; a click leads to `page` of the window.

    Some daemons cut a title after about thirty characters: what matters is in the body, too.
    """

    key: str
    title: str
    body: str
    page: str
    buttons: tuple[tuple[str, str], ...] = ()
    urgent: bool = False
    """It needs an answer: on top of everything until it has one."""
    lasting: bool = True
    """It stays until it is dismissed."""


def resumed(recovery: Recovery) -> Notice | None:
    """Return the notice of a launch after a crash; None after an orderly exit, or when nothing was interrupted."""
    if not (recovery.crashed or recovery.host_restarted):
        return None
    told = []
    if recovery.resumed:
        told.append(f"{resumption(recovery.resumed, unexpected=True)} Nothing was lost.")
    if recovery.crash_loops:
        told.append(f"{plural(recovery.crash_loops, 'run')} failed after three crashes: check the log, then retry.")
    if not told:
        return None
    title = f"{plural(recovery.resumed, 'run')} resumed" if recovery.resumed else "ExLab-Wizard ended unexpectedly"
    failed = bool(recovery.crash_loops)
    return Notice("resumed", title, "\n".join(told), "/history?state=failed" if failed else "/", lasting=failed)


def asked(status: QuitStatus) -> Notice:
    """Return the quit question."""
    blockers = status.blockers[:_MOST_NAMED]
    lines = [describe(_named(blocker)) for blocker in blockers] or [visible(status.trouble)[:_LONGEST_DETAIL]]
    count = None if status.count is None else status.count.operations
    if count is not None and count > len(blockers):
        lines.append(f"and {number(count - len(blockers))} more")
    body = "\n".join([*filter(None, lines), promise(count)])
    return Notice(QUESTION, question(count), body, "/quit", CHOICES, urgent=True)


def gist(status: QuitStatus) -> Gist:
    """Return which operations the question names, and roughly how far they are, to compare two questions."""
    which = tuple((blocker.kind, blocker.id) for blocker in status.blockers)
    count = None if status.count is None else status.count.operations
    far = (None if blocker.percent is None else int(blocker.percent // _PERCENT_STEP) for blocker in status.blockers)
    return (count, *which), tuple(far)


class UnseenFailures:
    """Jobs that failed for good and were not seen yet."""

    def __init__(self) -> None:
        self._unseen: dict[int, Failure] = {}
        self.due = float("inf")
        """When the next notification is due; infinity for never."""

    def add(self, failures: Sequence[Failure], now: float) -> None:
        """Add failures; `now` in seconds. Those within `TOGETHER_SECONDS` of the first share its notification."""
        self._unseen.update((failure.job_id, failure) for failure in failures)
        if failures:
            self.due = min(self.due, now + TOGETHER_SECONDS)

    def notice(self, now: float) -> Notice | None:
        """Return the notification if one is due; it counts earlier failures that were not seen."""
        if now < self.due:
            return None
        self.due = float("inf")
        first, *others = self._unseen.values()
        if not others:
            detail = visible(first.detail or _kind(first))
            body = f"{_name(first.run_path)} to {first.destination}: {_cut(detail)}"
            return Notice(FAILED, "1 run was not synced", body, f"/runs/{first.job_id}")
        named = [f"{_name(one.run_path)}: {_kind(one)}" for one in [first, *others][:_MOST_NAMED]]
        more = 1 + len(others) - len(named)
        body = "\n".join([*named, *([f"and {number(more)} more"] if more else []), "Click to see what to do."])
        return Notice(FAILED, f"{plural(1 + len(others), 'run')} were not synced", body, "/history?state=failed")

    def seen(self) -> None:
        """Forget the failures: the operator has seen them."""
        self._unseen.clear()
        self.due = float("inf")


@dataclass(slots=True)
class _Outage:
    since: float
    said: bool = False
    quietly: bool = False
    """It was due while notifications were quiet."""
    quiet_since: float | None = None
    last_move: int = 0
    """At the announcement: what arrives afterwards proves that the outage is over."""
    sent: dict[int, int] = field(default_factory=dict)


class Outages:
    """Destinations that jobs wait for: one notification when an outage is long, one when it is over."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, WaitReason], _Outage] = {}

    def poll(
        self, waiting: Waiting, last_move: int, now: float, after_s: float, *, quiet: bool = False
    ) -> list[Notice]:
        """Return the notifications of destinations that jobs have waited for `after_s` seconds; `now` in seconds.

        A notification that is due while `quiet` is dropped.
        """
        found: list[Notice] = []
        for key in waiting:
            self._known.setdefault(key, _Outage(now))
        for key, outage in list(self._known.items()):
            if key in waiting:
                outage.quiet_since, outage.sent = None, {}
                if not outage.said and now - outage.since >= after_s:
                    outage.said, outage.quietly, outage.last_move = True, quiet, last_move
                    if not quiet:
                        found.append(_out(*key, waiting[key], now - outage.since))
                continue
            outage.quiet_since = now if outage.quiet_since is None else outage.quiet_since
            if not outage.said and now - outage.quiet_since >= QUIET_SECONDS:
                del self._known[key]
        return found

    def due(self, now: float, after_s: float) -> float:
        """Return when to poll again even if nothing changes; infinity for never."""
        moments = [_next(outage, after_s) for outage in self._known.values()]
        return min((moment for moment in moments if moment > now), default=float("inf"))

    def maybe_over(self, now: float) -> list[tuple[str, int]]:
        """Return announced outages that no job waits for any longer, with the last move at the announcement."""
        return [
            (name, outage.last_move)
            for (name, _), outage in self._known.items()
            if outage.said and outage.quiet_since is not None and now - outage.quiet_since >= QUIET_SECONDS
        ]

    def back(self, name: str, *, arrived: bool, sent: dict[int, int]) -> list[Notice]:
        """Return the end of the outage of `name` if proven: a run `arrived`, or a job in flight `sent` more."""
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
                again = "is back online" if key[1] is WaitReason.DESTINATION_OFFLINE else "has free space again"
                found.append(Notice(_key(*key), f"{name} {again}", "Syncing has resumed.", "/", lasting=False))
        return found


def _next(outage: _Outage, after_s: float) -> float:
    if outage.quiet_since is not None:
        return outage.quiet_since + QUIET_SECONDS
    return float("inf") if outage.said else outage.since + after_s


def _out(name: str, reason: WaitReason, jobs: int, seconds: float) -> Notice:
    title = f"{WAITS[reason].begun.format(destination=name)} for {rounded(seconds)}"
    waiting = f"{plural(jobs, 'run')} {verb(jobs, 'is')} waiting."
    if reason is WaitReason.DESTINATION_OFFLINE:
        waiting = f"{waiting} Check the network, the NAS and the mounted share."
    return Notice(_key(name, reason), title, f"{waiting} {WAITS[reason].outlook}", "/")


def _key(name: str, reason: WaitReason) -> str:
    return f"{reason}:{name}"


def _name(path: str) -> str:
    return shortened(run_name(path), _LONGEST_NAME)


def _kind(failure: Failure) -> str:
    return ERRORS.get(failure.kind, failure.kind)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_DETAIL else f"{text[:_LONGEST_DETAIL]}…"


def _named(blocker: Blocker) -> Blocker:
    label = _name(blocker.label) if blocker.kind == "job" else blocker.label[:_LONGEST_NAME]
    return replace(blocker, label=label)

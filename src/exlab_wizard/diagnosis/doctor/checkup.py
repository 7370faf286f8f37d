"""Asks every check at once, each in a thread of its own, and gives up what does not answer in its time.

A thread that a dead share keeps inside the kernel is left behind; who may not be held up by it at the end of the
process, runs all this in a child.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from exlab_wizard.errors import ExlabError

TIMEOUT_SECONDS: Final = 8.0
DONE: Final = "done"
"""The last line of the process that runs the checks."""


class Verdict(StrEnum):
    """How a thing is."""

    OK = "ok"
    WARN = "warn"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing that was looked at, what was seen, and what to do about it; without a remedy there is nothing to do."""

    name: str
    verdict: Verdict
    detail: str
    remedy: str = ""


def good(name: str, detail: str) -> CheckResult:
    """Return that all is well."""
    return CheckResult(name, Verdict.OK, detail)


def doubtful(name: str, detail: str, remedy: str) -> CheckResult:
    """Return that work goes on, and somebody should see to this all the same."""
    return CheckResult(name, Verdict.WARN, detail, remedy)


def bad(name: str, detail: str, remedy: str) -> CheckResult:
    """Return that this keeps runs from arriving."""
    return CheckResult(name, Verdict.ERROR, detail, remedy)


@dataclass(frozen=True, slots=True)
class Check:
    """A look at one noun: its findings one by one, so that what was seen before it hung is told too."""

    name: str
    look: Callable[[], Iterable[CheckResult]]
    remedy: str = "Look after the file system or service behind it."
    timeout_s: float = TIMEOUT_SECONDS


@dataclass(slots=True)
class _Look:
    check: Check
    found: list[CheckResult] = field(default_factory=list)
    thread: threading.Thread | None = None

    def run(self) -> None:
        name = self.check.name
        try:
            self.found.extend(self.check.look())
        except (ExlabError, OSError) as error:
            self.found.append(bad(name, str(error), self.check.remedy))
        except Exception as error:  # boundary: one look that fails must not keep the others from being told
            remedy = "This is a fault of the program; please report it."
            self.found.append(bad(name, f"the look at it failed: {type(error).__name__}: {error}", remedy))


def check_up(checks: Sequence[Check]) -> Iterator[CheckResult]:
    """Yield what the checks find, in their order; none takes longer than its timeout, all count from now."""
    begun = time.monotonic()
    looks = [_Look(check) for check in checks]
    for look in looks:
        look.thread = threading.Thread(target=look.run, name=f"check-{look.check.name}", daemon=True)
        look.thread.start()
    for look in looks:
        if look.thread is not None:
            look.thread.join(max(0.0, begun + look.check.timeout_s - time.monotonic()))
            hangs = look.thread.is_alive()
            yield from list(look.found)
            if hangs:
                detail = f"no answer within {look.check.timeout_s:g} s"
                yield bad(look.check.name, detail, look.check.remedy)


def worst(findings: Iterable[CheckResult]) -> Verdict:
    """Return the worst verdict; `ok` where nothing was looked at."""
    held = {finding.verdict for finding in findings}
    return next((verdict for verdict in (Verdict.ERROR, Verdict.WARN) if verdict in held), Verdict.OK)

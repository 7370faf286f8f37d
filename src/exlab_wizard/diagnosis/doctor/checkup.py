"""Runs all checks at once, each in a thread of its own, and abandons those that exceed their timeouts.

A thread that a dead share keeps inside the kernel is left behind and delays the end of its process; a caller that
cannot accept that runs the checks in a child process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from exlab_wizard.domain.text.amounts import elapsed
from exlab_wizard.errors import ExlabError

TIMEOUT_SECONDS: Final = 8.0
DONE: Final = "done"
"""The last line of the process that runs the checks."""


class Verdict(StrEnum):
    """The severity of a result."""

    OK = "ok"
    WARN = "warn"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing that was checked, what was found, and what to do about it; no remedy means nothing to do."""

    name: str
    verdict: Verdict
    detail: str
    remedy: str = ""


def good(name: str, detail: str) -> CheckResult:
    """Return a result without a problem."""
    return CheckResult(name, Verdict.OK, detail)


def doubtful(name: str, detail: str, remedy: str) -> CheckResult:
    """Return a warning: syncing works, but an operator should fix this."""
    return CheckResult(name, Verdict.WARN, detail, remedy)


def bad(name: str, detail: str, remedy: str) -> CheckResult:
    """Return an error: this prevents runs from reaching a destination."""
    return CheckResult(name, Verdict.ERROR, detail, remedy)


@dataclass(frozen=True, slots=True)
class Check:
    """A check of one noun; it yields its results one by one, so that those before a hang are reported too."""

    name: str
    run: Callable[[], Iterable[CheckResult]]
    remedy: str = "Check the file system or service behind it."
    timeout_s: float = TIMEOUT_SECONDS


def _run(check: Check, found: list[CheckResult]) -> None:
    try:
        found.extend(check.run())
    except (ExlabError, OSError) as error:
        found.append(bad(check.name, str(error), check.remedy))
    except Exception as error:  # boundary: one failing check must not hide the results of the others
        detail = f"the check crashed: {type(error).__name__}: {error}"
        found.append(bad(check.name, detail, "This is a bug: please report it."))


def check_up(checks: Sequence[Check]) -> Iterator[CheckResult]:
    """Yield the results in the order of the checks; every timeout counts from now."""
    begun = time.monotonic()
    running: list[tuple[Check, list[CheckResult], threading.Thread]] = []
    for check in checks:
        found: list[CheckResult] = []
        thread = threading.Thread(target=_run, args=(check, found), name=f"check-{check.name}", daemon=True)
        thread.start()
        running.append((check, found, thread))
    for check, found, thread in running:
        thread.join(max(0.0, begun + check.timeout_s - time.monotonic()))
        hangs = thread.is_alive()
        yield from list(found)
        if hangs:
            yield bad(check.name, f"no answer within {elapsed(check.timeout_s)}", check.remedy)


def worst(findings: Iterable[CheckResult]) -> Verdict:
    """Return the worst verdict; `ok` if there are no results."""
    verdicts = {finding.verdict for finding in findings}
    return next((verdict for verdict in (Verdict.ERROR, Verdict.WARN) if verdict in verdicts), Verdict.OK)

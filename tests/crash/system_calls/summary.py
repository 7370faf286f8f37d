"""One line at the end of a test run: how many crash points there are, and at how many of them it killed.

Tests of several processes note their share as a property of their report; here the shares are added up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypedDict, cast

import pytest

PROPERTY: Final = "crash points"


class Share(TypedDict):
    """What one test has to say, in what a report can carry; the points of a scenario are the same in each share."""

    scenario: str
    points: int
    landed: int
    beyond: int
    violations: int


def noted(reports: Iterable[pytest.TestReport]) -> list[Share]:
    """Return the shares that tests have noted."""
    return [cast("Share", value) for report in reports for name, value in report.user_properties if name == PROPERTY]


def line_about(shares: Iterable[Share]) -> str:
    """Return the line."""
    found = list(shares)
    points = {share["scenario"]: share["points"] for share in found}
    landed, beyond, violations = (sum(share[key] for share in found) for key in ("landed", "beyond", "violations"))
    return (
        f"crash points: {sum(points.values()):,} enumerated in {len(points)} scenarios, killed at {landed},"
        f" {beyond} beyond the end, {violations} violations"
    )

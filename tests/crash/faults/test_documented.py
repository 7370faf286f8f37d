"""The table of docs/faults.md is the one that the program is tried with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.crash.faults.test_call_sites import AWAY, BAD_DISK, DENIED, EXHAUSTED, NO_ROOM, OFFLINE, UNREADABLE, Kind

PAGE = (Path(__file__).parents[3] / "docs" / "faults.md").read_text(encoding="utf-8")
ROWS = {
    (tuple(re.findall(r"`(\w+)`", errors)), ends): says
    for errors, _, ends, says in re.findall(r"^\| (.*) \| (.*) \| `(.*)` \| (.*) \|$", PAGE, re.MULTILINE)
}


@pytest.mark.parametrize(
    "kind", [AWAY, BAD_DISK, DENIED, EXHAUSTED, NO_ROOM, OFFLINE, UNREADABLE], ids=lambda kind: str(kind.ends)
)
def test_what_each_error_does_is_documented_with_its_words(kind: Kind) -> None:
    assert ROWS.get((kind.errors, kind.ends)) == kind.words


def test_nothing_is_documented_that_is_not_tried() -> None:
    assert len(ROWS) == 7

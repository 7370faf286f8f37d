"""A test that cannot fail proves nothing: without any one of these safeguards the suite fails, and for that reason.

A mutant whose text has moved fails here with the piece to mend. That the same tests pass over the program as it is, the
suite itself shows. Every mutant is tried by `make mutants`, and those on which everything rests each time.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest
from tests.crash.mutants.mutant import PACKAGE, ROOT, Mutant, judge
from tests.crash.mutants.table import MUTANTS

EACH_TIME: Final = {
    "the flush before the checkpoint of a big file",
    "the claim's drain guard",
    "the comparison of the claim at a result",
    "the instance lock",
    "the reading back of a big file",
    "a predicate that fails closed",
}
TRIED: Final = [mutant for mutant in MUTANTS if mutant.missing in EACH_TIME or os.environ.get("EXLAB_MUTANTS") == "all"]


def test_what_is_tried_each_time_is_known() -> None:
    assert {mutant.missing for mutant in MUTANTS} >= EACH_TIME


def test_each_text_stands_where_the_table_says() -> None:
    texts = {mutant: (ROOT / "src" / PACKAGE / mutant.module).read_text("utf-8") for mutant in MUTANTS}
    moved = [f"{mutant.module}: {mutant.text}" for mutant, text in texts.items() if text.count(mutant.text) != 1]
    assert moved == [], "mend the table"


@pytest.mark.sampled
@pytest.mark.slow
@pytest.mark.parametrize("mutant", TRIED, ids=lambda mutant: mutant.missing)
def test_the_suite_fails_without(mutant: Mutant, tmp_path: Path) -> None:
    verdict = judge(mutant, tmp_path)
    module = ".".join([PACKAGE, *Path(mutant.module).with_suffix("").parts])
    assert verdict.told.modules[module] == verdict.mutated, "another copy of the program was tested"
    assert verdict.status == 1, verdict.output
    died = {death.test.partition("[")[0] for death in verdict.told.deaths}
    assert died == {test.partition("[")[0] for test in mutant.tests}, verdict.output
    assert {(death.phase, death.cause) for death in verdict.told.deaths} == {("call", mutant.dies_of)}, verdict.output


def test_every_mutant_has_a_name_of_its_own() -> None:
    names = [mutant.missing for mutant in MUTANTS]
    assert sorted(set(names)) == sorted(names)

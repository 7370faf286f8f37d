"""A test that cannot fail proves nothing: without any one of these safeguards the suite fails, and for that reason.

A mutant whose text has moved fails here with the piece to mend. That the same tests pass over the program as it is, the
suite itself shows.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.mutants.mutant import PACKAGE, ROOT, Mutant, judge
from tests.mutants.table import MUTANTS

each_mutant = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.missing)


@each_mutant
def test_the_text_stands_where_the_table_says(mutant: Mutant) -> None:
    text = (ROOT / "src" / PACKAGE / mutant.module).read_text("utf-8")
    assert text.count(mutant.text) == 1, f"it has moved; mend the table:\n{mutant.text}"


@pytest.mark.slow
@each_mutant
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

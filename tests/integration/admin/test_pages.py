"""What the cookbook and the page of saved questions show is what comes out: typed on a prepared database."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from tests.integration.admin.pages import DOCS, TYPED, cookbook, questions_page
from tests.integration.admin.prepared import at_now, prepare

from exlab_wizard.errors import RefusedError
from exlab_wizard.store.readonly.query import query


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    database, findings = prepare(tmp_path_factory.mktemp("prepared"))
    assert [finding for finding in findings if not finding.ok] == [], "the prepared database obeys its own rules"
    return database


@pytest.fixture
def prepared(original: Path, tmp_path: Path) -> Path:
    """A copy that may be changed; nobody has the original open."""
    return Path(shutil.copy(original, tmp_path))


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def test_every_ready_question_is_shown_with_what_it_answers(prepared: Path) -> None:
    assert page("questions.md") == questions_page(prepared)


def test_the_cookbook_shows_what_its_sql_does_in_the_order_of_the_page(prepared: Path) -> None:
    assert page("admin.md") == cookbook(prepared, page("admin.md"))


def test_the_cookbook_has_its_recipes_in_order_and_each_shows_something() -> None:
    numbers = [int(number) for number in re.findall(r"^### (\d+)\. ", page("admin.md"), re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 20
    recipes = re.split(r"^### ", page("admin.md"), flags=re.MULTILINE)[1:]
    assert [recipe.splitlines()[0] for recipe in recipes if "```text\n" not in recipe] == []


def test_a_changed_output_or_statement_is_noticed(prepared: Path) -> None:
    text = page("admin.md")
    for old, new in (("run-003", "run-002"), ("still_pending\n", "still pending\n")):
        assert old in text
        changed = text.replace(old, new)
        assert cookbook(Path(shutil.copy(prepared, prepared.with_name(new.strip()))), changed) != changed


def test_the_looks_of_the_cookbook_are_answered_read_only_and_its_repairs_are_not(prepared: Path) -> None:
    looks, _, repairs = page("admin.md").partition("## Repair")
    for block in TYPED.finditer(looks):
        assert query(prepared, at_now(block["sql"]).rstrip().rstrip(";")).rows
    for block in TYPED.finditer(repairs):
        if not block["sql"].startswith("SELECT"):
            with pytest.raises(RefusedError):
                query(prepared, at_now(block["sql"].partition(";")[0]))

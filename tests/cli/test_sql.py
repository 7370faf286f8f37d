from __future__ import annotations

import io
import sys

import pytest
from tests.cli.calls import Cli

from exlab_wizard.cli.sql import RELATIONS
from exlab_wizard.domain.job import JobState
from exlab_wizard.store.store import Store

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT {} FROM n"


def test_a_query_is_answered_as_text_csv_and_json(cli: Cli, store: Store) -> None:
    assert store.jobs.state_of(1) is JobState.QUEUED
    query = "SELECT id, state, 'a,b' AS more FROM sync_jobs"
    assert cli("sql", query).out == "id  state   more\n1   queued  a,b\n"
    assert cli("sql", "--csv", query).out == 'id,state,more\n1,queued,"a,b"\n'
    assert cli("sql", "--json", query).document == [{"id": 1, "state": "queued", "more": "a,b"}]
    assert cli("sql", "--json", "SELECT 1 AS a, 9e999 AS a").document == [{"a": 1, "a_2": None}]
    assert cli("sql", "--json", "--csv", query).status == 2


@pytest.mark.parametrize(
    "query",
    [
        "UPDATE sync_jobs SET state = 'cancelled'",
        "DELETE FROM sync_jobs",
        "INSERT INTO installation VALUES (2, 'x', 'y')",
        "DROP TABLE sync_jobs",
        "ATTACH DATABASE ':memory:' AS other",
        "PRAGMA journal_mode = delete",
        "PRAGMA query_only = 0",
        "SELECT load_extension('x')",
        "VACUUM",
        "BEGIN IMMEDIATE",
        "SELECT * FROM sync_jobs; DELETE FROM sync_jobs",
    ],
)
def test_nothing_can_be_changed(query: str, cli: Cli, store: Store) -> None:
    answer = cli("sql", query)
    assert answer.status in (2, 4)
    assert answer.out == ""
    assert len(answer.err.splitlines()) == 1
    assert store.jobs.state_of(1) is JobState.QUEUED


def test_time_and_rows_are_limited(cli: Cli, store: Store) -> None:
    assert store.jobs.state_of(1) is JobState.QUEUED
    late = cli("sql", "--timeout", "0.2", ENDLESS.format("count(*)"))
    assert late.status == 1
    assert "--timeout" in late.err
    cut = cli("sql", "--limit", "3", "--json", ENDLESS.format("i"))
    assert cut.document == [{"i": 1}, {"i": 2}, {"i": 3}]
    assert "first 3 rows" in cut.err


@pytest.mark.parametrize("query", ["", "  ", "SELEC 1", "SELECT * FROM nowhere", "SELECT :missing", "SELECT '\0'"])
def test_a_query_that_is_none_is_wrong_usage(query: str, cli: Cli, store: Store) -> None:
    answer = cli("sql", query)
    assert answer.status == 2
    assert len(answer.err.splitlines()) == 1
    assert store.jobs.state_of(1) is JobState.QUEUED


def test_parameters_and_stdin(cli: Cli, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("SELECT :a AS a, :b AS b, typeof(:c) AS c"))
    assert cli("sql", "-", "--param", "a=1", "--param", "b=x=y", "--param", "c=007", "--json").document == [
        {"a": 1, "b": "x=y", "c": "text"}
    ]
    assert cli("sql", "SELECT 1", "--param", "oops").status == 2
    assert store.jobs.state_of(1) is JobState.QUEUED


def test_every_table_and_view_is_listed_with_a_sentence(cli: Cli, store: Store) -> None:
    assert store.jobs.state_of(1) is JobState.QUEUED
    query = (
        "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view')"
        " AND name NOT LIKE 'sqlite_%' AND name <> 'alembic_version'"
    )
    found = cli("sql", "--json", query).document
    assert isinstance(found, list)
    assert {(row["name"], row["type"]) for row in found} == {(name, kind) for name, kind, _ in RELATIONS}
    assert "drain_blockers" in cli("sql").out
    assert cli("sql", "--csv").out.startswith("name,kind,holds\n")

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from rich.cells import cell_len
from tests.integration.cli.calls import Cli
from tests.support import given

from exlab_wizard.domain.job import JobState
from exlab_wizard.errors import RefusedError
from exlab_wizard.store.readonly import query as readonly
from exlab_wizard.store.readonly.questions import questions, relations
from exlab_wizard.store.sqlite.driver import driver
from exlab_wizard.store.store import Store

if os.name != "nt":
    import pty

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT {} FROM n"


def test_a_query_is_answered_as_text_csv_and_json(cli: Cli, store: Store) -> None:
    assert store.jobs.state_of(1) is JobState.QUEUED
    query = "SELECT id, state, 'a,b' AS more FROM sync_jobs"
    assert cli("sql", query).out == "id  state   more\n 1  queued  a,b\n"
    assert cli("sql", "--csv", query).out == 'id,state,more\n1,queued,"a,b"\n'
    assert cli("sql", "--json", query).document == [{"id": 1, "state": "queued", "more": "a,b"}]
    assert cli("sql", "--json", "SELECT 1 AS a, 9e999 AS a").document == [{"a": 1, "a_2": None}]
    assert cli("sql", "--json", "--csv", query).status == 2


def dump(database: Path) -> str:
    """Return a hash of everything that the database holds."""
    text = given.shell(database, ".dump").stdout
    assert "CREATE TABLE sync_jobs" in text
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


@pytest.mark.parametrize(
    "query",
    [
        "UPDATE sync_jobs SET state = 'cancelled'",
        "UPDATE sync_jobs SET state = 'cancelled' RETURNING id",
        "DELETE FROM sync_jobs",
        "INSERT INTO installation VALUES (2, 'x', 'y')",
        "REPLACE INTO job_transitions VALUES ('queued', 'verified', 'mine')",
        "WITH gone AS (SELECT id FROM sync_jobs) DELETE FROM sync_jobs WHERE id IN gone",
        "WITH more AS (SELECT 1) INSERT INTO job_events (job_id, at, to_state) SELECT 1, '', 'verified' FROM more",
        "DROP TABLE sync_jobs",
        "DROP TRIGGER jobs_refuse_illegal_move",
        "CREATE TRIGGER mine AFTER UPDATE ON sync_jobs BEGIN DELETE FROM sync_files; END",
        "CREATE TEMP TRIGGER mine AFTER UPDATE ON sync_jobs BEGIN DELETE FROM sync_files; END",
        "CREATE TEMP TABLE mine AS SELECT * FROM sync_jobs",
        "CREATE VIRTUAL TABLE mine USING fts5(x)",
        "ALTER TABLE sync_jobs RENAME TO mine",
        "ATTACH DATABASE ':memory:' AS other",
        "ATTACH 'exlab-wizard.db' AS other",
        "DETACH DATABASE main",
        "PRAGMA journal_mode = delete",
        "PRAGMA journal_mode(delete)",
        "PRAGMA main.journal_mode = off",
        "PRAGMA query_only = 0",
        "PRAGMA user_version = 7",
        "PRAGMA writable_schema = 1",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "PRAGMA synchronous = 0",
        "SELECT load_extension('x')",
        "SELECT LOAD_EXTENSION('x', 'y') FROM sync_jobs",
        "SELECT writefile('x', 'y')",
        "VACUUM",
        "VACUUM INTO 'copy.db'",
        "REINDEX",
        "ANALYZE",
        "BEGIN IMMEDIATE",
        "SAVEPOINT mine",
        "EXPLAIN DELETE FROM sync_jobs",
        "SELECT * FROM sync_jobs; DELETE FROM sync_jobs",
        "SELECT 1 /* */ ; -- \n DROP TABLE sync_jobs",
    ],
)
def test_nothing_can_be_changed(query: str, cli: Cli, store: Store, state_dir: Path) -> None:
    before, beside = dump(store.database.path), sorted(state_dir.iterdir())
    answer = cli("sql", query)
    assert answer.status in (2, 4)
    assert answer.out == ""
    assert len(answer.err.splitlines()) == 1
    assert dump(store.database.path) == before
    assert sorted(state_dir.iterdir()) == beside


@pytest.mark.parametrize(
    "query",
    [
        "PRAGMA table_info(sync_jobs)",
        "SELECT name FROM pragma_table_info('sync_jobs')",
        "PRAGMA user_version",
        "PRAGMA journal_mode",
        "PRAGMA quick_check",
        "PRAGMA integrity_check(3)",
        "EXPLAIN QUERY PLAN SELECT * FROM pending_work",
        "WITH mine AS (SELECT * FROM sync_jobs) SELECT count(*) FROM mine",
    ],
)
def test_whatever_only_reads_is_answered(query: str, cli: Cli, store: Store) -> None:
    assert store.jobs.state_of(1) is JobState.QUEUED
    answer = cli("sql", query)
    assert (answer.status, answer.err) == (0, "")
    assert len(answer.out.splitlines()) > 1


@pytest.mark.parametrize("lock", ["_MODE", "_QUERY_ONLY", "authorize"])
def test_each_lock_holds_by_itself(lock: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = {"_MODE": "?mode=rw", "_QUERY_ONLY": "SELECT 1", "authorize": lambda *_: driver.SQLITE_OK}
    for other in opened.keys() - {lock}:
        monkeypatch.setattr(readonly, other, opened[other])
    for query in ("DELETE FROM sync_jobs", "CREATE TABLE mine (x)", "INSERT INTO installation VALUES (1, '', '')"):
        with pytest.raises(RefusedError, match="not authorized" if lock == "authorize" else r"read-?only"):
            readonly.query(store.database.path, query)
    monkeypatch.setattr(readonly, lock, opened[lock])
    readonly.query(store.database.path, "UPDATE sync_jobs SET priority = 7")
    assert given.execute(store, "SELECT priority FROM sync_jobs") == [(7,)], "without any lock it would be written"


def test_the_authorizer_refuses_what_the_others_let_through(store: Store) -> None:
    for query in ("PRAGMA user_version = 7", "ATTACH ':memory:' AS mine", "SELECT fts3_tokenizer('simple')"):
        with pytest.raises(RefusedError, match="not authorized"):
            readonly.query(store.database.path, query)


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


def test_every_table_view_and_column_has_a_sentence(cli: Cli, store: Store) -> None:
    assert store.jobs.state_of(1) is JobState.QUEUED
    query = (
        "SELECT m.name, m.type, c.name AS column_name FROM sqlite_master m, pragma_table_info(m.name) c"
        " WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite_%' AND m.name <> 'alembic_version'"
        " ORDER BY m.name, c.cid"
    )
    found = cli("sql", "--json", query).document
    assert isinstance(found, list)
    told = [
        {"name": it.name, "type": it.kind, "column_name": column}
        for it in sorted(relations(), key=lambda it: it.name)
        for column in it.columns
    ]
    assert told == found
    assert all(sentence.endswith(".") for it in relations() for sentence in (it.holds, *it.columns.values()))
    assert "drain_blockers" in cli("sql").out
    assert cli("sql", "--csv").out.startswith("name,kind,holds\n")
    assert "operator" in cli("sql", "session_leases").out


def test_ready_questions_are_listed_and_answered_with_their_defaults(cli: Cli, store: Store) -> None:
    assert store.jobs.state_of(1) is JobState.QUEUED
    listed = cli("sql", "--list", "--json").document
    assert isinstance(listed, list)
    assert [it["name"] for it in listed] == [it.name for it in questions()]
    for it in questions():
        assert it.asks.endswith(("?", "."))
        assert it.asked_by.endswith(".")
        assert set(re.findall(r":([a-z_]\w*)", it.sql)) == it.defaults.keys(), it.name
        answer = cli("sql", "--run", it.name, "--json")
        assert answer.status == 0, answer.err
        assert isinstance(answer.document, list)
    (pending,) = json.loads(cli("sql", "--run", "pending", "--json").out)
    assert (pending["id"], pending["why"]) == (1, "waits for a worker")
    assert cli("sql", "--list").out.splitlines()[0].split() == ["name", "answers", "parameters", "asked", "by"]


def test_parameters_of_a_ready_question(cli: Cli, store: Store) -> None:
    assert store.jobs.state_of(1) is JobState.QUEUED
    assert cli("sql", "--run", "find-run", "--param", "word=RUN-17", "--json").document != []
    assert cli("sql", "--run", "find-run", "--param", "word=elsewhere", "--json").document == []
    strange = cli("sql", "--run", "find-run", "--param", "days=1")
    assert (strange.status, "its parameters: word" in strange.err) == (2, True)
    mistyped = cli("sql", "--run", "pendign")
    assert (mistyped.status, "did you mean pending" in mistyped.err) == (2, True)
    assert cli("sql", "--run", "pending", "SELECT 1").status == 2


HOSTILE = "SELECT NULL AS a, '' AS b, char(27) || '[2Jred' || char(10, 8238) || '日本' AS c, x'ff00' AS d, 2.5 AS e"


def test_nothing_in_a_value_is_obeyed_and_columns_stay_straight(cli: Cli, store: Store) -> None:
    assert store.jobs.state_of(1) is JobState.QUEUED
    out = cli("sql", HOSTILE + " UNION ALL SELECT 1, 'x', 'y', 'z', 10").out
    assert out.splitlines() == [
        "   a  b  c                       d           e",
        "NULL     \\x1b[2Jred\\n\\u202e日本  \\xff\\x00  2.5",
        "   1  x  y                       z          10",
    ]


def on_a_terminal(command: list[str], columns: int) -> str:
    """Run a command whose output is a terminal of that width, and return what it showed, without its colours."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # how a terminal says that its other side is gone
            while part := os.read(ours, 65_536):
                shown += part
        assert process.wait() == 0
    os.close(ours)
    return re.sub(r"\x1b\[[\d;]*m", "", shown.decode()).replace("\r", "")


@pytest.mark.skipif(os.name == "nt", reason="no pseudo-terminals there")
def test_a_terminal_gets_a_table_where_it_fits_and_blocks_where_it_does_not(command: list[str], store: Store) -> None:
    assert store.jobs.state_of(1) is JobState.QUEUED
    table = on_a_terminal([*command, "sql", HOSTILE + ", 'word ' || hex(zeroblob(50)) AS long"], 100).splitlines()
    assert table[0].split() == [*"abcde", "long"]
    assert "\\x1b[2Jred" in "".join(table)
    assert max(map(cell_len, table)) <= 100
    assert on_a_terminal([*command, "sql", "SELECT * FROM sync_files"], 80) == "no rows\n"
    blocks = on_a_terminal([*command, "sql", "SELECT * FROM sync_jobs"], 80).splitlines()
    assert blocks[0].startswith("row 1 of 1")
    told = {words[0]: words[1] for line in blocks if len(words := line.split()) > 1}
    assert (told["destination"], told["claim_id"], told["priority"]) == ("nas", "NULL", "0")


@pytest.mark.skipif(os.name == "nt", reason="no pseudo-terminals there")
def test_csv_on_a_terminal_obeys_nothing_and_elsewhere_changes_nothing(command: list[str], store: Store) -> None:
    assert store.jobs.state_of(1) is JobState.QUEUED
    csv = [*command, "sql", "--csv", "SELECT char(27) || ']0;mine' || char(7) AS t"]
    assert subprocess.run(csv, capture_output=True, text=True, check=True).stdout == "t\n\x1b]0;mine\x07\n"
    assert on_a_terminal(csv, 80) == "t\n\\x1b]0;mine\\x07\n"


def test_safe_cells_are_no_formulas(cli: Cli, store: Store) -> None:
    assert store.jobs.state_of(1) is JobState.QUEUED
    query = "SELECT '=1+1' AS a, '+1' AS b, '-x' AS c, '@x' AS d, char(9) || 'x' AS e, -1 AS f, 'x=1' AS g, NULL AS h"
    assert cli("sql", "--csv", "--safe-cells", query).out == "a,b,c,d,e,f,g,h\n'=1+1,'+1,'-x,'@x,'\tx,-1,x=1,\n"
    assert cli("sql", "--csv", query).out.splitlines()[1].startswith("=1+1,+1,-x,@x,")
    assert cli("sql", "--safe-cells", query).status == 2


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        (ENDLESS.format("printf('%.*c', 1000000, 'x')"), "larger than 64"),
        ("SELECT count(*) FROM (" + ENDLESS.format("printf('%9000000d', i) AS t") + " ORDER BY t)", "of memory"),
        ("WITH RECURSIVE n(x) AS (SELECT 'x' UNION ALL SELECT x || x FROM n) SELECT max(length(x)) FROM n", "too big"),
    ],
    ids=["much is answered", "much is sorted", "one value is long"],
)
def test_memory_and_answer_are_limited(query: str, sentence: str, command: list[str], store: Store) -> None:
    assert store.jobs.state_of(1) is JobState.QUEUED
    done = subprocess.run([*command, "sql", "--limit", "100", query], capture_output=True, text=True, check=False)
    assert (done.returncode in (1, 2), done.stdout) == (True, ""), done.stderr
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_table_of_long_values_is_cut_and_says_so(cli: Cli, store: Store) -> None:
    assert store.jobs.state_of(1) is JobState.QUEUED
    table = cli("sql", "--limit", "50", ENDLESS.format("printf('%.*c', 1000000, 'x')")).out
    assert len(table) < 6_000_000
    assert "(1000000 characters; --json and --csv print all)" in table

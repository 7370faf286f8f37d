"""`/admin/` answers the oddest address with a sentence, and the largest query within its limits of memory and size."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from tests.conftest import SEED
from tests.integration.api.api import PREFIX, Api, run_of
from tests.support.program import Program, until

pytestmark = pytest.mark.slow

BASE = "/admin/exlab-wizard"
ODD_REQUESTS = 40 * int(os.environ.get("EXLAB_FUZZ_EXAMPLES", "10"))
MOST_MORE_BYTES = 700 << 20
COUNT = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {})"
LARGE = (
    f"{COUNT.format(1000)} SELECT printf('%.*c', 3600000, 'x') FROM n",
    f"{COUNT.format(1000)} SELECT printf('%.*c', 100000, 'x') FROM n",
    f"{COUNT.format(1000000)} SELECT group_concat(printf('%.*c', 10000, 'x')) FROM n",
    f"{COUNT.format(1000000)}, t(x) AS (SELECT printf('%99999d', i) FROM n ORDER BY 1 LIMIT -1) SELECT count(*) FROM t",
    "WITH RECURSIVE n(x) AS (SELECT 'xxxxxxxx' UNION ALL SELECT x || x FROM n LIMIT 28) SELECT max(length(x)) FROM n",
    f"{COUNT.format(1000)} SELECT {', '.join(['i'] * 1900)} FROM n",
)


@pytest.fixture(scope="module")
def browsed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("browsed")) as program:
        program.start()
        with Api.of(program) as api:
            api.enqueue(run_of(program, "run-1"))
        until(lambda: program.number("SELECT count(*) FROM sync_jobs WHERE state = 'verified'") == 1, what="the run")
        yield program


@pytest.fixture
def admin(browsed: Program) -> Iterator[httpx.Client]:
    with Api.of(browsed) as api:
        yield api.http


def most_memory(program: Program) -> int:
    """Return the largest amount of memory that the program has had so far."""
    status = Path(f"/proc/{program.process.pid}/status").read_text()
    (kib,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kib) << 10


@pytest.mark.sampled(cases=2)
@pytest.mark.parametrize("sql", LARGE, ids=range(len(LARGE)))
def test_a_query_that_takes_much_memory_or_answers_much_is_refused(
    browsed: Program, admin: httpx.Client, sql: str
) -> None:
    admin.get(BASE)
    before = most_memory(browsed)
    for form in ("", ".json", ".csv"):
        answer = admin.get(f"{BASE}{form}", params={"sql": sql})
        assert answer.status_code == 400, (form, answer.text[:500])
    assert most_memory(browsed) - before < MOST_MORE_BYTES
    assert admin.get(f"{PREFIX}/drain").status_code == 200


PATHS = (
    *(
        "",
        ".json",
        ".csv",
        "/sync_jobs",
        "/sync_jobs.json",
        "/sync_jobs.csv",
        "/job_events",
        "/pending_work",
        "/nowhere",
    ),
    *("/sync_jobs/1", "/sync_jobs/1.json", "/sync_jobs/x", "/sync_jobs/1.blob", "/ask-failures", "/ask-failures.json"),
    *(
        "/drain_status/1",
        "/sync_files/1,a",
        "/sync_files/1%2Ca.json",
        "/-/facet",
        "//",
        "/sync_jobs/1/2",
        "/sync~5Fjobs",
    ),
    *(
        "/%00",
        "/%ff",
        "/sync_jobs/%ff.json",
        "/sync_jobs.xyz",
        "/sync_jobs/-/",
        "/ask-nothing",
        "/sqlite_master",
        "/~",
        "/~ZZ",
        "/sync_jobs/~00",
    ),
)
NAMES = (
    *("_sort", "_sort_desc", "_facet", "_facet_date", "_facet_array", "_facet_size", "_size", "_next", "_search"),
    *("_where", "_through", "_col", "_nocol", "_shape", "_timelimit", "_ttl", "_labels", "_nl", "_stream", "_dl"),
    *("_blob_column", "_blob_hash", "_extra", "sql", "_json", "_hash", "_trace", "_nofacet", "_nosuggest", "_nocount"),
    *("id", "id__gt", "id__in", "id__exact", "id__like", "id__date", "id__arraycontains", "id__notin", "id__isnull"),
    *("state__contains", "nothing__exact", "_search_state", "__", "_", "days", "_filter_column", "_filter_op"),
)
VALUES = (
    *(
        "",
        "1",
        "-1",
        "0",
        "x",
        "id",
        "state",
        "enqueued_at",
        "9" * 30,
        "1e9",
        "NaN",
        "on",
        "off",
        "[",
        "[1,",
        "{}",
        "null",
    ),
    *(
        "objects",
        "array",
        "arrays",
        "object",
        "arrayfirst",
        "SELECT 1",
        "SELECT",
        "SELECT :x",
        "SELECT 1;",
        "SELECT x'00'",
    ),
    *(
        '{"table": "launches"}',
        '{"table": "launches", "column": "id", "value": 1}',
        '["a"]',
        "a,b",
        ",",
        "id,state",
        "'",
        '"',
    ),
    *(
        "%",
        "\0",
        "é",
        "\U0001f600",
        "\u202e",
        "~",
        "~25",
        "+",
        " ",
        "\n",
        "x" * 3000,
        "max",
        "all",
        "1=1",
        "SELECT 1, 1",
    ),
    *("SELECT json('{')", "SELECT abs(-9223372036854775808)", "SELECT 1 AS a, 2 AS a", "SELECT NULL", "SELECT 1e999"),
)


def odd(chance: random.Random) -> tuple[str, list[tuple[str, str]]]:
    """Return an address that no page has a link to."""
    pairs = [(chance.choice(NAMES), chance.choice(VALUES)) for _ in range(chance.randint(0, 3))]
    return chance.choice(PATHS), pairs


def test_the_oddest_requests_get_a_page_or_the_envelope(browsed: Program, admin: httpx.Client) -> None:
    chance = random.Random(SEED)  # noqa: S311 - an order, no secret
    failed = []
    for _ in range(ODD_REQUESTS):
        path, pairs = odd(chance)
        answer = admin.get(f"{BASE}{path}", params=urlencode(pairs))
        if answer.status_code not in (200, 302, 400, 404):
            failed.append((path, pairs, answer.text[:200]))
    assert failed == []
    assert "Traceback" not in browsed.log()

"""`/admin/` shows everything and changes nothing, for its owner only, and holds up neither work nor quit."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import hashlib
import html
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send
from tests.integration.api.api import Api, code_of, run_of
from tests.integration.api.bench import backend_of
from tests.support.bench import Bench
from tests.support.given import shell
from tests.support.program import PATIENCE_SECONDS, Program, until

from exlab_wizard.errors import StoreError
from exlab_wizard.server.asgi import HttpApplication
from exlab_wizard.store.readonly.browsing import Readers
from exlab_wizard.store.readonly.questions import questions, relations
from exlab_wizard.store.sqlite.driver import driver

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT id FROM launches UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
BASE = "/admin/exlab-wizard"


def dump_of(program: Program) -> str:
    """Return the hash of everything that is in the database, and of how it is kept."""
    dumped = shell(program.database, ".dump")
    assert "CREATE TABLE" in dumped.stdout, dumped.stderr
    text = dumped.stdout + str(program.value("PRAGMA journal_mode"))
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def ticks_of(program: Program) -> dict[str, int]:
    """Return the processor time of each thread, in hundredths of a second."""
    threads = Path(f"/proc/{program.process.pid}/task").iterdir()
    fields = {one.name: (one / "stat").read_text().rpartition(")")[2].split() for one in threads}
    return {name: int(told[11]) + int(told[12]) for name, told in fields.items()}


@pytest.fixture(scope="module")
def browsed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A program that has synced one run, and one whose name is an attack."""
    with Program(tmp_path_factory.mktemp("browsed")) as program:
        program.start()
        with Api.of(program) as api:
            for name in ("run-1", "<script>alert(1)<"):
                api.enqueue(run_of(program, name))
        until(lambda: program.number("SELECT count(*) FROM sync_jobs WHERE state = 'verified'") == 2, what="both runs")
        yield program


@pytest.fixture
def admin(browsed: Program) -> Iterator[httpx.Client]:
    with Api.of(browsed) as api:
        yield api.http


@pytest.mark.slow
def test_every_table_view_and_question_has_its_page_with_its_sentences(admin: httpx.Client) -> None:
    first = admin.get(BASE)
    for one in relations():
        assert f'href="{BASE}/{one.name}"' in first.text
        page = html.unescape(admin.get(f"{BASE}/{one.name}").text)
        for sentence in (one.holds, *one.columns.values()):
            assert sentence in page, (one.name, sentence)
    for question in questions():
        answer = admin.get(f"{BASE}/ask-{question.name}")
        assert (answer.status_code, "rows-and-columns" in answer.text or "0 results" in answer.text) == (200, True)
        page = html.unescape(answer.text)
        assert question.asks in page
        for parameter in question.parameters:
            assert f"{parameter.name}: {parameter.meaning} (default {parameter.default!s})" in page


def test_a_question_answers_with_its_defaults_and_with_what_is_given(admin: httpx.Client) -> None:
    everything = admin.get(f"{BASE}/ask-find-run.json", params={"_shape": "array"}).json()
    one = admin.get(f"{BASE}/ask-find-run.json", params={"_shape": "array", "word": "run-1"}).json()
    assert (len(everything), len(one)) == (2, 1)
    assert admin.get(f"{BASE}/ask-largest-pending", params={"most": "3"}).status_code == 200


def test_a_page_with_a_slash_too_many_is_found(admin: httpx.Client) -> None:
    answer = admin.get(f"{BASE}/sync_jobs/", follow_redirects=True)
    assert (answer.status_code, answer.url.path) == (200, f"{BASE}/sync_jobs")


def test_names_are_shown_and_never_interpreted(admin: httpx.Client) -> None:
    page = admin.get(f"{BASE}/sync_jobs").text
    assert "&lt;script&gt;alert(1)&lt;" in page
    assert "<script>alert(1)" not in page
    assert "'unsafe-inline'" not in admin.get(BASE).headers["content-security-policy"].split("style-src")[0]


def test_nobody_gets_in_without_token_or_cookie(browsed: Program, admin: httpx.Client) -> None:
    base = str(admin.base_url)
    for path in ("/admin", "/admin/", BASE, "/admin/-/static/app.css"):
        assert code_of(httpx.get(f"{base}{path}")) == (401, "unauthorized")
    with Api.of(browsed) as api, httpx.Client(base_url=base) as browser:
        assert browser.get(api.post("/login").json()["path"]).status_code == 303
        shown = browser.get(BASE)
        assert shown.status_code == 200
        # Neither of its own cookies nor anything of the visitor's way in.
        assert "set-cookie" not in shown.headers
        assert browser.cookies["exlab_wizard"] not in shown.text
        assert browser.get(BASE, headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}).status_code == 403


@pytest.mark.parametrize(
    "path",
    ["/-/versions", "/-/databases.json", "/-/plugins", "/-/threads", "/-/auth-token", "/-/messages", "/_internal",
     "/_memory", "/exlab-wizard.db", "/exlab-wizard/../-/versions", "/exlab-wizard%2F..%2F..%2F-%2Fversions",
     "/exlab-wizard/sync_jobs.csv?_stream=on", "/-/static/../templates/base.html"],
)  # fmt: skip
def test_what_is_not_this_database_is_not_there(admin: httpx.Client, path: str) -> None:
    answer = admin.get(f"/admin{path}", follow_redirects=True)
    assert answer.status_code in (400, 403, 404), answer.text[:200]


HOSTILE = (
    "DELETE FROM sync_jobs",
    "DROP TABLE sync_jobs",
    "UPDATE sync_jobs SET state = 'cancelled'",
    "ATTACH '/tmp/exlab-attack-attached.db' AS other",
    "PRAGMA journal_mode=DELETE",
    "PRAGMA query_only=0",
    "SELECT * FROM pragma_journal_mode('delete')",
    "SELECT * FROM pragma_query_only(0)",
    "SELECT load_extension('/tmp/exlab-attack-extension')",
    "SELECT writefile('/tmp/exlab-attack-written', 'x')",
    "VACUUM INTO '/tmp/exlab-attack-vacuumed.db'",
    "WITH x AS (SELECT 1) DELETE FROM sync_jobs",
    "WITH x AS (SELECT 1) INSERT INTO launches SELECT * FROM x",
    "SELECT 1; DELETE FROM sync_jobs",
    "-- \nDELETE FROM sync_jobs",
    "SELECT zeroblob(900000000)",
    "CREATE TEMP TRIGGER t AFTER INSERT ON job_events BEGIN DELETE FROM sync_jobs; END",
)


def test_a_table_without_rows_has_its_header_as_csv(admin: httpx.Client) -> None:
    answer = admin.get(f"{BASE}.csv", params={"sql": "SELECT id, state FROM sync_jobs WHERE id < 0"})
    assert (answer.status_code, answer.text) == (200, "id,state\r\n")
    assert len(admin.get(f"{BASE}/sync_jobs.csv").text.splitlines()) == 3


@pytest.mark.slow
def test_what_would_change_something_is_refused_however_it_is_asked(browsed: Program, admin: httpx.Client) -> None:
    before = dump_of(browsed)
    for sql in HOSTILE:
        for form in ("", ".json", ".csv"):
            answer = admin.get(f"{BASE}{form}", params={"sql": sql})
            assert answer.status_code == 400, (sql, form)
    for hostile in ("_where", "_sort", "_facet", "_search", "_next", "_col", "id__exact", "_size", "_extra"):
        for word in ("1); DELETE FROM sync_jobs; --", "id in (select 1) union delete from sync_jobs"):
            assert admin.get(f"{BASE}/sync_jobs", params={hostile: word}).status_code in (200, 302, 400, 404)
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert admin.request(method, f"{BASE}/sync_jobs").status_code == 405
    assert dump_of(browsed) == before
    assert list(Path("/tmp").glob("exlab-attack-*")) == []  # noqa: S108 - what the attacks name
    assert "Traceback" not in browsed.log()
    assert "DELETE FROM" not in browsed.log() + browsed.said()
    # One line, that it is ready: nothing that Datasette would print.
    assert len(browsed.said().splitlines()) == 1


@pytest.mark.parametrize("sql", HOSTILE)
def test_the_connections_refuse_by_themselves(browsed: Program, sql: str) -> None:
    readers = Readers(browsed.database)
    with pytest.raises((driver.Error, driver.Warning)):
        readers.run(lambda connection: connection.execute(sql).fetchall())
    readers.release()


def endless(connection: driver.Connection, begun: threading.Event) -> None:
    connection.set_progress_handler(begun.set, 10_000)
    connection.execute(ENDLESS).fetchall()


def test_what_an_error_leaves_behind_keeps_no_other_thread_waiting(browsed: Program) -> None:
    """The collector of garbage runs in any thread: it must not wait for the query that runs by then."""
    readers, failed, begun = Readers(browsed.database), threading.Event(), threading.Event()
    left: list[list[object]] = []

    def fail(connection: driver.Connection) -> None:
        cursor = connection.cursor()
        cursor.execute("SELECT * FROM sync_jobs")
        left.append([cursor])
        left[-1].append(left[-1])  # as an exception that is kept refers to its frames, and they to it
        raise driver.OperationalError

    def ask() -> None:
        with pytest.raises(driver.OperationalError):
            readers.run(fail)
        failed.set()
        with pytest.raises(driver.Error):
            readers.run(lambda connection: endless(connection, begun))
        readers.release()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    assert failed.wait(PATIENCE_SECONDS)
    assert begun.wait(PATIENCE_SECONDS)
    left.clear()
    faulthandler.dump_traceback_later(30, exit=True)  # without the interpreter's lock no other time limit is heard
    assert gc.collect() > 0
    faulthandler.cancel_dump_traceback_later()
    assert thread.is_alive()
    readers.close()
    thread.join(PATIENCE_SECONDS)


def test_closing_ends_a_query_that_has_no_end(browsed: Program) -> None:
    readers, begun, said = Readers(browsed.database), threading.Event(), list[str]()

    def ask() -> None:
        try:
            readers.run(lambda connection: endless(connection, begun))
        except driver.Error as error:
            said.append(str(error))
        readers.release()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    assert begun.wait(PATIENCE_SECONDS)
    readers.close()
    thread.join(PATIENCE_SECONDS)
    assert said == ["interrupted"]


def test_what_is_asked_when_all_is_closed_is_refused(browsed: Program) -> None:
    readers = Readers(browsed.database)
    assert readers.run(lambda connection: connection.execute("SELECT count(*) FROM sync_jobs").fetchone()[0]) == 2
    readers.close()
    with pytest.raises(StoreError, match="quitting"):
        readers.run(lambda connection: connection)
    readers.release()


@pytest.mark.slow
def test_a_query_without_end_is_cut_off_while_sessions_go_on(browsed: Program, admin: httpx.Client) -> None:
    with Api.of(browsed) as api:
        session = api.open()
        asking = [
            subprocess.Popen(
                [sys.executable, "-c", _ASK, f"{admin.base_url}{BASE}.json", admin.headers["Authorization"]]
            )
            for _ in range(2)
        ]
        waits = []
        while any(one.poll() is None for one in asking):
            begun = time.monotonic()
            assert api.post(f"/sessions/{session}/heartbeat").status_code == 200
            waits.append(time.monotonic() - begun)
        assert [one.returncode for one in asking] == [0, 0]
        assert len(waits) > 3
        api.post(f"/sessions/{session}/abort")


_ASK = f"""
import sys, urllib.error, urllib.parse, urllib.request
sql = urllib.parse.urlencode({{"sql": {ENDLESS!r}}})
request = urllib.request.Request(f"{{sys.argv[1]}}?{{sql}}", headers={{"Authorization": sys.argv[2]}})
try:
    urllib.request.urlopen(request, timeout={PATIENCE_SECONDS})
except urllib.error.HTTPError as error:
    sys.exit(0 if error.code == 400 and b"ran longer than 1 s" in error.read() else 1)
except OSError:
    sys.exit(2)
sys.exit(3)
"""


@pytest.mark.slow
def test_a_quit_ends_what_is_asked_and_leaves_no_log_of_the_database(program: Program, api: Api) -> None:
    assert api.http.get("/admin/").status_code == 200
    address = f"{api.http.base_url}{BASE}.json"
    before = ticks_of(program)
    asking = subprocess.Popen([sys.executable, "-c", _ASK, address, api.http.headers["Authorization"]])
    # Nothing else here keeps a thread busy.
    busy = 15
    until(
        lambda: any(now > before.get(name, 0) + busy for name, now in ticks_of(program).items()),
        what="the question to be asked",
    )
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0
    asking.wait(PATIENCE_SECONDS)
    assert program.value("SELECT end_reason FROM launches") == "drained"
    assert not program.database.with_name("exlab-wizard.db-wal").exists()


def test_the_library_is_loaded_with_the_first_page_only(browsed: Program) -> None:
    code = "import sys, exlab_wizard.server.asgi; sys.exit('datasette' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=browsed.environment, check=False)
    assert done.returncode == 0


@pytest.fixture
def without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasette", None)
    monkeypatch.delitem(sys.modules, "exlab_wizard.server.admin.datasette", raising=False)


@pytest.mark.usefixtures("without_the_extra")
def test_without_the_extra_the_page_says_how_to_install_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    application = HttpApplication(backend_of(bench, tmp_path), port=80, token="token", page_secret="00")  # noqa: S106 - of nobody

    async def ours(scope: Scope, receive: Receive, send: Send) -> None:
        await application({**scope, "state": {"stranger": None}}, receive, send)

    async def ask() -> tuple[httpx.Response, httpx.Response]:
        transport = httpx.ASGITransport(ours)
        headers = {"Authorization": "Bearer token"}
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:80", headers=headers) as client:
            client.headers["Host"] = "127.0.0.1:80"
            found = await client.get(BASE), await client.get(BASE, headers={"Accept": "text/html"})
        application.close()
        return found

    told, page = asyncio.run(ask())
    bench.close()
    assert code_of(told) == (404, "not_found")
    assert "pip install 'exlab-wizard[admin]'" in told.json()["error"]["message"]
    assert "exlab-wizard[admin]" in html.unescape(page.text)
    assert page.headers["content-type"].startswith("text/html")


@pytest.mark.usefixtures("without_the_extra")
def test_without_the_extra_the_command_says_how_to_install_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from exlab_wizard.cli.main import main  # noqa: PLC0415 - its fixture belongs to the tests of the command line

    assert main(["--state-dir", str(tmp_path / "state"), "admin"]) == 1
    assert "pip install 'exlab-wizard[admin]'" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


@pytest.mark.slow
def test_the_command_gives_a_link_that_leads_there(browsed: Program) -> None:
    environment = {name: value for name, value in browsed.environment.items() if "DISPLAY" not in name}
    command = browsed.command("admin")
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )
    assert done.returncode == 0, done.stderr
    with httpx.Client(follow_redirects=True, timeout=PATIENCE_SECONDS) as browser:
        shown = browser.get(done.stdout.strip())
    assert (shown.status_code, shown.url.path) == (200, "/admin/")

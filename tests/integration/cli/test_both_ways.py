"""A command says the same whether the running application answers it or the database: each is asked both ways."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.integration.cli.calls import Answer
from tests.integration.client.calls import connected

from exlab_wizard.cli.main import main
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.testing import PATIENCE_SECONDS, Lab

pytestmark = pytest.mark.slow


class BothWays:
    """The command line on a running application, which must answer by itself, or cannot be asked."""

    def __init__(self, lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.lab, self._capsys, self._monkeypatch = lab, capsys, monkeypatch

    def call(self, *words: str) -> Answer:
        status = main(["--state-dir", str(self.lab.state), *words])
        captured = self._capsys.readouterr()
        return Answer(status, captured.out, captured.err)

    def over_http(self, *words: str) -> Answer:
        """Return the application's answer; it is an error to open the database for it."""

        def connection(_: Database) -> None:
            msg = "the database was opened, and the application should have answered"
            raise AssertionError(msg)

        with self._monkeypatch.context() as patch:
            patch.setattr(Database, "connection", connection)
            # A machine that is busy with other tests is no hung application.
            patch.setattr("exlab_wizard.cli.remote.PROOF_SECONDS", PATIENCE_SECONDS)
            patch.setattr("exlab_wizard.cli.remote.ANSWER_SECONDS", PATIENCE_SECONDS)
            return self.call(*words)

    def from_database(self, *words: str) -> Answer:
        with self.hidden():
            return self.call(*words)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Let the address of the server be nowhere to be found."""
        file = self.lab.state / "server.json"
        away = file.rename(file.with_suffix(".away"))
        try:
            yield
        finally:
            away.rename(file)

    @property
    def url(self) -> str:
        with connected(self.lab) as client:
            return client.url()


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running application with one verified run, one that failed, and two sessions, one of them open."""
    with Lab(tmp_path_factory.mktemp("both")) as lab:
        good = lab.make_run("good")
        lab.start()
        with connected(lab) as client:
            client.enqueue(good, "nas", equipment_id="sem")
            client.enqueue(unsyncable(lab, "bad"), "nas", priority=3)
            lab.until_idle()
            with client.session(kind="project", label="over", operator="Ada"):
                pass
            client.call("POST", "/sessions", {"kind": "run", "label": "open", "ttl_s": 3600, "id": "x" * 32})
        assert lab.query("SELECT state FROM sync_jobs ORDER BY id") == [("verified",), ("failed",)]
        yield lab


@pytest.fixture
def both(application: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> BothWays:
    return BothWays(application, capsys, monkeypatch)


def unsyncable(lab: Lab, name: str) -> Path:
    """Return a run whose job fails."""
    run = lab.make_run(name, {"a": 1})
    os.mkfifo(run / "pipe")
    return run


@pytest.mark.parametrize(
    "words",
    [
        ["jobs"],
        ["jobs", "--state", "failed"],
        ["jobs", "--limit", "1"],
        ["jobs", "--before", "2"],
        ["jobs", "1"],
        ["jobs", "2"],
        ["sessions"],
        ["sessions", "--limit", "1"],
    ],
    ids=" ".join,
)
def test_what_is_read_is_the_same(words: list[str], both: BothWays) -> None:
    assert both.over_http(*words, "--json").document == both.from_database(*words, "--json").document
    assert both.over_http(*words) == both.from_database(*words)


def test_status_is_the_same_but_for_the_address(both: BothWays) -> None:
    told, read = both.over_http("status"), both.from_database("status")
    assert [line for line in told.out.splitlines() if "answers at" not in line][:2] == read.out.splitlines()[:2]
    assert f"answers at {both.url}\n" in told.out
    document, database = both.over_http("status", "--json").document, both.from_database("status", "--json").document
    assert isinstance(document, dict)
    assert isinstance(database, dict)
    for each in (document, database):
        # The seconds until the lease runs out go on passing between the two.
        assert [blocker.pop("eta_s") > 0 for blocker in each["in_flight"]] == [True]
    assert document.pop("url") == both.url
    assert database.pop("url") is None
    assert document == database


@pytest.mark.parametrize(
    "words",
    [
        ["jobs", "99"],
        ["retry", "1"],
        ["retry", "99"],
        ["cancel", "1"],
        ["cancel", "2", "99"],
        ["sync", "not-there"],
        ["sync", "."],
        ["sync", ""],
    ],
    ids=" ".join,
)
def test_what_is_refused_is_refused_in_the_same_words(
    words: list[str], both: BothWays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(both.lab.nas)
    asked = both.call(*words)
    assert asked == both.from_database(*words)
    assert (asked.status in (2, 4), asked.out, len(asked.err.splitlines())) == (True, "", 1)


def test_a_run_is_queued_the_same(both: BothWays) -> None:
    first, second = (unsyncable(both.lab, name) for name in ("first", "second"))
    told = both.over_http("sync", str(first), "--equipment", "sem", "--priority", "2")
    read = both.from_database("sync", str(second), "--equipment", "sem", "--priority", "2")
    number = both.lab.number("SELECT max(id) FROM sync_jobs")
    assert told == Answer(0, f"job {number - 1}: {first} → nas (queued)\n", "")
    assert read == Answer(0, f"job {number}: {second} → nas (queued)\n", "")
    rows = both.lab.query("SELECT destination, equipment_id, priority FROM sync_jobs WHERE id >= ?", number - 1)
    assert rows == [("nas", "sem", 2), ("nas", "sem", 2)]
    both.lab.until_idle()
    assert both.over_http("retry", str(number - 1), "--json").document == [{"id": number - 1, "state": "queued"}]
    assert both.from_database("retry", str(number)).out == f"job {number} queued again\n"
    both.lab.until_idle()
    assert both.over_http("cancel", str(number - 1)).out == f"job {number - 1} cancelled\n"
    assert both.from_database("cancel", str(number)).out == f"job {number} cancelled\n"
    again = both.over_http("cancel", str(number))
    assert again == both.from_database("cancel", str(number)) == Answer(0, f"job {number} was already cancelled\n", "")


def test_a_name_that_is_no_text_is_told_exactly(both: BothWays) -> None:
    odd = unsyncable(both.lab, os.fsdecode(b"caf\xe9 \\x"))
    assert both.call("sync", str(odd)).status == 0
    number = both.lab.number("SELECT max(id) FROM sync_jobs")
    both.lab.until_idle()
    document = both.call("jobs", str(number), "--json").document
    assert isinstance(document, dict)
    assert document["run_path"] == str(odd)
    assert both.call("jobs", "--json") == both.from_database("jobs", "--json")


@pytest.mark.parametrize("text", ["", "{", '{"port": 1, "pid": 1, "started_at": "x", "token": "y"}'])
def test_a_spoilt_address_makes_no_command_fail(both: BothWays, text: str) -> None:
    expected = both.from_database("jobs", "--json")
    with both.hidden():
        spoilt = both.lab.state / "server.json"
        spoilt.write_text(text, "utf-8")
        assert both.call("jobs", "--json") == expected
        spoilt.unlink()


def test_a_hung_application_makes_no_command_fail(both: BothWays) -> None:
    run = unsyncable(both.lab, "while it hangs")
    expected = both.from_database("jobs", "--json")
    both.lab.process.send_signal(signal.SIGSTOP)
    try:
        assert both.call("jobs", "--json") == expected
        assert both.call("sync", str(run)).status == 0
        number = both.lab.number("SELECT max(id) FROM sync_jobs")
        status = both.call("status", "--json").document
        assert isinstance(status, dict)
        assert (status["running"], status["pending"]["queued"]["jobs"]) == (True, 1)
        assert both.call("cancel", str(number), "--json").document == [{"id": number, "state": "cancelled"}]
    finally:
        both.lab.process.send_signal(signal.SIGCONT)


def test_waiting_follows_the_events_of_the_application(both: BothWays) -> None:
    run, bad = both.lab.make_run("followed"), unsyncable(both.lab, "followed-bad")
    told = both.over_http("sync", str(run), "--wait")
    assert (told.status, told.err) == (0, "")
    assert told.out.splitlines()[-1].endswith(f" {run}: verified")
    assert both.lab.checksums_pass("followed")
    told, read = both.over_http("sync", str(bad), "--wait"), both.from_database("sync", str(bad), "--wait")
    assert (told.status, read.status) == (1, 1)
    assert told.err.partition(": failed: ")[2] == read.err.partition(": failed: ")[2] != ""

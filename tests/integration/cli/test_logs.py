"""The log tells each event once, with its ids and without a secret, and outlives whatever ends the program."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.integration.api.api import Api
from tests.integration.cli.calls import Cli
from tests.support.program import PATIENCE_SECONDS, Program, until, write_run

from exlab_wizard.process import logs
from exlab_wizard.process.logs import files, logbook, numbered

Line = dict[str, str | int]
SMALL = {"a.raw": 3_000, "b.raw": 10}


def lines_of(folder: Path) -> list[Line]:
    """Return every line of the log; each one must be whole."""
    return [json.loads(line) for path in files(folder) for line in path.read_text("ascii").splitlines()]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[logging.Logger]:
    """A logger that writes into `tmp_path/logs`, and the root as it was afterwards."""
    root = logging.getLogger()
    held, level, raising = list(root.handlers), root.level, logging.raiseExceptions
    with logbook(tmp_path / "logs"):
        root.setLevel(logging.INFO)
        yield logging.getLogger("exlab_wizard.story")
    root.handlers[:] = held
    root.setLevel(level)
    logging.raiseExceptions = raising
    logs.ids_of_this_process.clear()


def test_a_line_carries_what_it_is_about(log: logging.Logger, tmp_path: Path) -> None:
    logs.ids_of_this_process["launch"] = 3
    with logs.log_ids(job=7):
        log.info("syncing %r", "run\n\x1b[31m\udcff")
        log.info("of a session", extra={"session": "s-1", "job": 8})
    log.warning("of nothing")
    first, second, third = lines_of(tmp_path / "logs")
    assert (first["launch"], first["job"], first["level"], first["by"]) == (3, 7, "info", "story")
    assert first["message"] == r"syncing 'run\n\x1b[31m\udcff'"
    assert (second["job"], second["session"]) == (8, "s-1")
    assert "job" not in third
    assert len(str(third["at"])) == 24


def test_the_log_is_bounded_and_keeps_the_newest(
    log: logging.Logger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES", 2_000)
    for number in range(200):
        log.info("event %d", number)
    found = lines_of(tmp_path / "logs")
    assert len(list((tmp_path / "logs").iterdir())) == logs.KEPT_FILES
    assert all(path.stat().st_size <= 2_000 for path in files(tmp_path / "logs"))
    assert [line["message"] for line in found] == [f"event {number}" for number in range(200 - len(found), 200)]
    assert len(found) > 20


def test_a_log_that_is_deleted_is_begun_anew(log: logging.Logger, tmp_path: Path) -> None:
    log.info("one")
    (tmp_path / "logs" / logs.NAME).unlink()
    log.info("two")
    assert [line["message"] for line in lines_of(tmp_path / "logs")] == ["two"]


def test_a_line_that_was_cut_off_spoils_no_other(log: logging.Logger, tmp_path: Path) -> None:
    path = tmp_path / "logs" / logs.NAME
    path.parent.mkdir()
    path.write_bytes(b'{"message": "cut o')
    log.info("whole")
    cut, whole = path.read_text("ascii").splitlines()
    assert cut == '{"message": "cut o'
    assert json.loads(whole)["message"] == "whole"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is there on Linux only")
def test_a_full_disk_under_the_log_harms_no_work(tmp_path: Path) -> None:
    with Program(tmp_path) as program:
        (program.state / "logs").mkdir()
        (program.state / "logs" / logs.NAME).symlink_to("/dev/full")
        program.start()
        program.enqueue(write_run(tmp_path / "runs" / "run-1", SMALL))
        until(lambda: program.job_state() == "verified", what="the run to arrive")
        program.process.terminate()
        assert program.wait() == 0
        assert program.value("SELECT end_reason FROM launches") == "drained"
        assert "Traceback" not in program.log()


@pytest.mark.slow
def test_a_log_folder_that_cannot_be_made_harms_no_start(tmp_path: Path) -> None:
    with Program(tmp_path) as program:
        (program.state / "logs").write_text("in the way")
        program.start()
        program.process.terminate()
        assert program.wait() == 0


def secrets_of(api: Api) -> list[str]:
    """Use everything that lets somebody in, rightly and wrongly, and return it."""
    path = api.post("/login").json()["path"]
    base = str(api.http.base_url)
    with httpx.Client(base_url=base) as browser:
        assert browser.get(path).status_code == 303
        cookie = browser.cookies["exlab_wizard"]
        assert browser.get("/api/v1/drain").status_code == 200
        assert browser.get(path).status_code == 401
    token = api.address.token
    wrong = httpx.get(f"{base}/api/v1/drain", params={"token": token}, headers={"Authorization": f"Basic {token}"})
    assert wrong.status_code == 401
    assert api.http.post("/api/v1/jobs", content=f"{token} {cookie}").status_code == 422
    return [token, cookie, path.partition("code=")[2]]


@pytest.mark.slow
def test_a_whole_story_is_told_with_its_ids_and_without_secrets(tmp_path: Path) -> None:
    with Program(tmp_path) as program:
        program.configure(bandwidth_mib_s=1.0)
        newest, secrets = program.state / "logs" / logs.NAME, list[str]()
        program.start()
        with Api.of(program) as api:
            session = api.open(run_path=str(tmp_path / "runs" / "run-1"))
            secrets += secrets_of(api)
            write_run(tmp_path / "runs" / "run-1", SMALL)
            done = api.post(
                f"/sessions/{session}/complete", {"runs": [{"path": f"{tmp_path}/runs/run-1", "destination": "nas"}]}
            )
            assert done.status_code == 200, done.text
        until(lambda: program.job_state() == "verified", what="the run to arrive")
        program.enqueue(write_run(tmp_path / "runs" / "run-2", {"big.raw": 20 << 20}))
        until(lambda: b"job 2: syncing" in newest.read_bytes(), what="the second run to be copied")
        program.kill()
        after_kill = lines_of(program.state / "logs")
        assert after_kill[-1].get("job") == 2
        program.start()
        until(lambda: program.job_state(2) == "running", what="the second run to go on")
        with Api.of(program) as api:
            secrets += secrets_of(api)
            assert api.post("/quit", {"force": True}).status_code == 202
        assert program.wait() == 0
        told = lines_of(program.state / "logs")
        raw = "".join(path.read_text("ascii") for path in files(program.state / "logs"))
        raw += "".join(path.read_text("utf-8") for path in tmp_path.glob("launch-*.*"))
    assert told[: len(after_kill)] == after_kill
    assert {line.get("launch") for line in told} >= {1, 2}
    assert {str(line["message"]).split(":")[0] for line in told if line.get("session") == session} == {
        f"session {session} opened",
        f"session {session} completed, jobs [1] queued",
    }
    assert next(str(line["message"]) for line in told if line.get("job") == 1).startswith("job 1: syncing")
    assert told[-1]["message"] == "exlab-wizard has quit: forced"
    assert [secret for secret in secrets if secret in raw] == []
    assert len(set(secrets)) == 6


def test_a_start_that_is_refused_stands_in_the_log(cli: Cli, nas: Path, state_dir: Path) -> None:
    assert nas.is_dir()
    root = logging.getLogger()
    held, level, raising = list(root.handlers), root.level, logging.raiseExceptions
    (state_dir / "exlab-wizard.db").write_bytes(b"no database" * 1000)
    try:
        assert cli("run", "--headless").status == 4
    finally:
        root.handlers[:] = held
        root.setLevel(level)
        logging.raiseExceptions = raising
    (line,) = lines_of(state_dir / "logs")
    assert "is damaged" in str(line["message"])
    assert "trace" not in line


def test_the_command_shows_what_is_asked_for(cli: Cli, state_dir: Path) -> None:
    folder = state_dir / "logs"
    folder.mkdir(parents=True)
    older, newer = numbered(folder / logs.NAME, 1), folder / logs.NAME
    at = "2026-11-24T10:00:00.000Z"
    older.write_text(json.dumps({"at": at, "level": "info", "message": "first", "job": 1}) + '\n{"cut o\n')
    more = {"at": at, "level": "error", "message": "second \x1b[31m", "job": 2, "trace": "line 1\nline 2"}
    newer.write_text(json.dumps(more) + "\n" + json.dumps({"at": at, "level": "info", "message": "third"}) + "\n")
    assert [line.split("] ")[1] for line in cli("logs").out.splitlines()] == [
        "first",
        r"second \x1b[31m | line 1\nline 2",
        "third",
    ]
    assert cli("logs", "-n", "1").out.endswith("third\n")
    assert json.loads(cli("logs", "--job", "2", "--json").out) == more
    assert "no matching lines" in cli("logs", "--session", "s").err


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C as a signal")
def test_following_goes_on_in_the_next_file_and_ends_with_ctrl_c(
    log: logging.Logger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], state_dir: Path
) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES", 700)
    state_dir.mkdir()
    (state_dir / "logs").symlink_to(tmp_path / "logs")
    log.info("event 0")
    follow = [*command, "logs", "-f"]
    with subprocess.Popen(follow, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        heard = [reader.stdout.readline()]
        for number in range(1, 12):
            log.info("event %d", number)
            heard.append(reader.stdout.readline())
        reader.send_signal(signal.SIGINT)
        assert reader.wait(PATIENCE_SECONDS) == 130
    assert [line.split("] ")[1] for line in heard] == [f"event {number}\n" for number in range(12)]

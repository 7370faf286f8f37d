from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.integration.cli.calls import Answer, Cli
from tests.support.program import PATIENCE_SECONDS

from exlab_wizard.paths import StateDir
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.store import Store
from exlab_wizard.transfer.destination.marker import create_marker


def jobs_in(state_dir: Path) -> int:
    database = StateDir(state_dir).database
    if not database.exists():
        return 0
    store = Store(Database(database))
    found = len(store.rows.jobs(limit=100))
    store.close()
    return found


def assert_refused(answer: Answer, *words: str) -> None:
    assert answer.status == 2
    assert answer.out == ""
    assert len(answer.err.splitlines()) == 1
    for word in words:
        assert word in answer.err


def test_a_run_is_queued_without_the_application(cli: Cli, nas: Path, run_folder: Path, state_dir: Path) -> None:
    answer = cli("sync", str(run_folder))
    assert answer.status == 0
    assert answer.out == f"job 1: {run_folder} → nas (queued)\n"
    assert "exlab-wizard run" in answer.err
    assert jobs_in(state_dir) == 1
    assert nas.is_dir()


def test_the_same_run_is_found_not_doubled(cli: Cli, store: Store, run_folder: Path, state_dir: Path) -> None:
    answer = cli("sync", str(run_folder), str(run_folder) + os.sep, "--json")
    row = {"id": 1, "run_path": str(run_folder), "destination": "nas", "created": False}
    assert answer.document == {"running": False, "jobs": [row]}
    assert jobs_in(state_dir) == 1
    assert store.status.counts().failed == 0


def test_a_relative_path_becomes_absolute_and_a_link_keeps_its_name(
    cli: Cli, nas: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = run_folder.with_name("link")
    link.symlink_to(run_folder)
    monkeypatch.chdir(run_folder.parent)
    assert f"job 1: {link} → nas" in cli("sync", "./nas/../link").out
    assert nas.is_dir()


@pytest.mark.parametrize("what", ["missing", "file", "inside", "contains", "empty", "state"])
def test_a_path_that_cannot_be_meant_queues_nothing(
    what: str, cli: Cli, nas: Path, run_folder: Path, state_dir: Path
) -> None:
    (nas / "inside").mkdir()
    path = {
        "missing": run_folder / "missing",
        "file": run_folder / "data.bin",
        "inside": nas / "inside",
        "contains": nas.parent,
        "empty": "",
        "state": state_dir,
    }[what]
    assert_refused(cli("sync", str(run_folder), str(path)))
    assert jobs_in(state_dir) == 0


def test_without_any_destination_it_says_how_to_add_one(cli: Cli, run_folder: Path, state_dir: Path) -> None:
    assert_refused(cli("sync", str(run_folder)), "exlab-wizard destination add NAME FOLDER")
    assert not state_dir.exists()


def test_one_of_several_destinations_must_be_named(cli: Cli, nas: Path, run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    assert cli("destination", "add", "far", str(tmp_path / "far")).status == 0
    assert_refused(cli("sync", str(run_folder)), "--to", "nas", "far")
    assert_refused(cli("sync", str(run_folder), "--to", "moon"), "'moon'", "nas", "far")
    assert cli("sync", str(run_folder), "--to", "far").status == 0
    assert nas.is_dir()


@pytest.mark.parametrize(
    "equipment", ["", "..", "a/b", "a\\b", ".hidden", "a..b", "ends.", "x" * 64, "bad\nname", "-a"]
)
def test_an_equipment_id_is_a_plain_folder_name(
    equipment: str, cli: Cli, nas: Path, run_folder: Path, state_dir: Path
) -> None:
    assert_refused(cli("sync", str(run_folder), "--equipment", equipment))
    assert jobs_in(state_dir) == 0
    assert nas.is_dir()


def test_equipment_and_priority_are_kept(cli: Cli, nas: Path, run_folder: Path) -> None:
    assert cli("sync", str(run_folder), "--equipment", "SEM 2-b", "--priority", "5").status == 0
    document = cli("jobs", "1", "--json").document
    assert isinstance(document, dict)
    assert (document["equipment_id"], document["priority"]) == ("SEM 2-b", 5)
    assert nas.is_dir()


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX only")
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_any_name_survives_any_locale(locale: str, cli: Cli, nas: Path, tmp_path: Path, command: list[str]) -> None:
    names = [b"caf\xe9", b"two\nlines", b"\x1b[31m", b"[red]x", b"\xe6\xb8\xac"]
    runs = [os.fsencode(tmp_path) + b"/" + name for name in names]
    for run in runs:
        os.mkdir(run)  # noqa: PTH102 - the name is bytes
    ours: dict[str, str] = {**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    view = "SELECT * FROM pending_work"
    calls: list[list[str | bytes]] = [["sync", *runs], ["jobs"], ["jobs", "1"], ["status"], ["jobs", "--json"]]
    calls += [["sql", view], ["sql", "--csv", view]]
    for words in calls:
        ended = subprocess.run([*command, *words], capture_output=True, check=False, env=ours, timeout=PATIENCE_SECONDS)
        assert (ended.returncode, b"Traceback" in ended.stderr) == (0, False), ended.stderr
        assert b"\x1b" not in ended.stdout or "--csv" in words
    document = cli("jobs", "--json").document
    assert isinstance(document, list)
    assert [os.fsencode(job["run_path"]) for job in reversed(document)] == runs
    assert nas.is_dir()


def test_wait_is_the_application_where_none_runs(cli: Cli, nas: Path, run_folder: Path, command: list[str]) -> None:
    ended = subprocess.run(
        [*command, "sync", str(run_folder), "--wait"], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == f"job 1 {run_folder}: verified"
    assert len(list(nas.rglob("data.bin"))) == 1
    assert "drained" in cli("history").out


def test_wait_tells_what_failed_and_ends_with_1(nas: Path, tmp_path: Path, command: list[str]) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    os.mkfifo(bad / "pipe")
    create_marker(nas, "nas")
    ended = subprocess.run(
        [*command, "sync", str(bad), "--wait", "--json"], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 1
    assert len(ended.stdout.splitlines()) == 1
    assert "pipe" in ended.stderr
    assert "job 1 " in ended.stderr

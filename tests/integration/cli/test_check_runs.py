"""`db check --runs` finds what happened to published runs behind our back, and names it."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.integration.cli.calls import Cli

from exlab_wizard.crash_points import Point
from exlab_wizard.diagnosis.audit import Rule, audit
from exlab_wizard.domain.job import OperatorMove
from exlab_wizard.settings import SettingsFile
from exlab_wizard.store.upkeep import prune
from exlab_wizard.testing import Lab
from exlab_wizard.testing.lab import SMALL_RUN
from exlab_wizard.transfer.destination.publish import INCOMING

Do = Callable[[Lab], object]


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One run at the top and one below its instrument's folder, both published; the application has quit."""
    with Lab(tmp_path_factory.mktemp("synced")) as lab:
        lab.configure(workers=1)  # one after the other: the job that moved last is kept by pruning
        lab.sync(lab.make_run())
        lab.sync(lab.make_run("run-2", seed=2), equipment="scope")
        lab.start()
        lab.until_idle()
        lab.quit()
        assert lab.wait() == 0
        lab.assert_nothing_lost()
        yield lab


@pytest.fixture
def nas_lab(synced: Lab, tmp_path: Path) -> Lab:
    """A copy of all that."""
    lab = Lab(tmp_path)
    shutil.rmtree(lab.nas)
    shutil.copytree(synced.nas, lab.nas)
    shutil.copytree(synced.state, lab.state, dirs_exist_ok=True)
    lab.configure()
    return lab


@dataclass(frozen=True)
class Case:
    """What is done, and what must be said about it."""

    do: Do
    rule: str
    subject: str
    detail: str


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def put_in_its_place(run: Path, other: Path) -> None:
    shutil.rmtree(run)
    shutil.copytree(other, run)


def leave_partial_copy(lab: Lab, job_id: int) -> None:
    with lab.store() as store:
        (lab.nas / INCOMING / f"{store.launches.installation_id()}-{job_id}").mkdir(parents=True)


def tamper(sql: str) -> Do:
    return lambda lab: lab.query(sql)


CASES = {
    "a flipped byte": Case(
        lambda lab: flip(lab.nas / "run-1" / "a.raw"), Rule.COMPLETE, "run-1/a.raw", "its content differs"
    ),
    "a missing file": Case(
        lambda lab: (lab.nas / "run-1/frames/1.tif").unlink(), Rule.COMPLETE, "run-1/frames/1.tif", "it is missing"
    ),
    "a missing run": Case(
        lambda lab: shutil.rmtree(lab.nas / "scope/run-2"), Rule.COMPLETE, "scope/run-2", "it is missing"
    ),
    "an extra file": Case(
        lambda lab: (lab.nas / "run-1/frames/strange").write_bytes(b"?"),
        Rule.VERIFIED,
        "run-1/frames/strange",
        "it was not verified",
    ),
    "a foreign folder": Case(lambda lab: (lab.nas / "holiday").mkdir(), Rule.VERIFIED, "holiday", "it has no receipt"),
    "a foreign folder beside an instrument's runs": Case(
        lambda lab: (lab.nas / "scope/holiday").mkdir(), Rule.VERIFIED, "scope/holiday", "it has no receipt"
    ),
    "an altered checksum list": Case(
        lambda lab: flip(lab.nas / "run-1/.exlab-wizard/checksums.sha256"), Rule.COMPLETE, "run-1", ""
    ),
    "a lost checksum list": Case(
        lambda lab: (lab.nas / "run-1/.exlab-wizard/checksums.sha256").unlink(), Rule.COMPLETE, "run-1", "checksums"
    ),
    "a lost receipt": Case(
        lambda lab: (lab.nas / "run-1/.exlab-wizard/receipt.json").unlink(), Rule.COMPLETE, "run-1", "no receipt"
    ),
    "another run in its place": Case(
        lambda lab: put_in_its_place(lab.nas / "run-1", lab.nas / "scope/run-2"),
        Rule.COMPLETE,
        "run-1",
        "its receipt belongs to",
    ),
    "a partial copy of a job that is done": Case(
        lambda lab: leave_partial_copy(lab, 1),
        Rule.INCOMING,
        "-1",
        "left behind",
    ),
    "a partial copy of no job": Case(
        lambda lab: leave_partial_copy(lab, 9),
        Rule.INCOMING,
        "-9",
        "not in the database",
    ),
    "a job row with another run": Case(
        tamper("UPDATE sync_jobs SET run_path = '/elsewhere/run-9' WHERE id = 1"), Rule.COMPLETE, "run-9", "missing"
    ),
    "a file row with another hash": Case(
        tamper("UPDATE sync_files SET sha256 = 'ab' WHERE job_id = 1 AND path = 'a.raw'"),
        Rule.COMPLETE,
        "run-1/a.raw",
        "but ab (verified) in the database",
    ),
    "a file row that was deleted": Case(
        tamper("DELETE FROM sync_files WHERE job_id = 1 AND path = 'a.raw'"),
        Rule.COMPLETE,
        "run-1",
        "counts 3 files",
    ),
    "an unmounted destination": Case(
        lambda lab: (lab.nas / ".exlab-destination").unlink(), Rule.READABLE, "nas", "offline"
    ),
    "a destination that was taken out of the settings": Case(
        lambda lab: lab.config.write_text("", "utf-8"), Rule.READABLE, "nas", "no longer in the settings"
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_happened_to_a_published_run_is_named(nas_lab: Lab, case: Case) -> None:
    case.do(nas_lab)
    settings = SettingsFile(nas_lab.config).read()
    with nas_lab.store() as store:
        faults = audit(store, settings)
    assert [fault for fault in faults if fault.rule == case.rule and fault.subject.endswith(case.subject)], faults
    assert any(case.detail in fault.detail for fault in faults), faults


def test_a_run_whose_job_was_pruned_is_read_back_by_its_own_list(nas_lab: Lab) -> None:
    nas_lab.query("UPDATE sync_jobs SET finished_at = '2020-01-01T00:00:00.000Z' WHERE id = 1")
    assert nas_lab.call("db", "prune", "--older-than", "1y").stdout.startswith("deleted history from before ")
    assert nas_lab.query("SELECT id FROM sync_jobs") == [(2,)]
    settings = SettingsFile(nas_lab.config).read()
    with nas_lab.store() as store:
        assert audit(store, settings) == []
        flip(nas_lab.nas / "run-1/a.raw")
        (nas_lab.nas / "run-1/frames/strange").write_bytes(b"?")
        faults = audit(store, settings)
    assert [(fault.rule, Path(fault.subject).name) for fault in faults] == [
        (Rule.VERIFIED, "a.raw"),
        (Rule.VERIFIED, "strange"),
    ]


class CutOffError(Exception):
    """Stands for the death of the process between two transactions."""


def cut_off_at(last: int) -> Callable[[float], None]:
    pauses = itertools.count(1)

    def pause(_seconds: float) -> None:
        if next(pauses) == last:
            raise CutOffError

    return pause


def test_a_run_whose_pruning_was_cut_off_is_read_back_by_its_own_list(
    nas_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    nas_lab.query("UPDATE sync_jobs SET finished_at = '2020-01-01T00:00:00.000Z' WHERE id = 1")
    monkeypatch.setattr(prune, "ROWS_AT_ONCE", 1)
    monkeypatch.setattr(prune, "_pause", cut_off_at(3))
    with nas_lab.store() as store, pytest.raises(CutOffError):
        prune.Prune(store.database, datetime(2021, 1, 1, tzinfo=UTC)).run(lambda _done, _all: None)
    assert 0 < nas_lab.number("SELECT count(*) FROM sync_files WHERE job_id = 1") < len(SMALL_RUN)
    settings = SettingsFile(nas_lab.config).read()
    with nas_lab.store() as store:
        assert audit(store, settings) == []
        flip(nas_lab.nas / "run-1/a.raw")
        faults = audit(store, settings)
    assert [(fault.rule, Path(fault.subject).name) for fault in faults] == [(Rule.VERIFIED, "a.raw")]


def test_a_check_looks_for_partial_copies_where_the_destination_can_be_seen(nas_lab: Lab, cli: Cli) -> None:
    def incoming() -> dict[str, object]:
        findings = json.loads(cli("--state-dir", str(nas_lab.state), "db", "check", "--json").out)["findings"]
        return next(finding for finding in findings if finding["name"] == Rule.INCOMING)

    assert (incoming()["ok"], incoming()["detail"]) == (True, "")
    leave_partial_copy(nas_lab, 1)
    assert incoming()["ok"] is False
    assert "left behind" in str(incoming()["detail"])
    (nas_lab.nas / ".exlab-destination").unlink()
    assert (incoming()["ok"], incoming()["detail"]) == (True, "not checked because offline: nas")
    nas_lab.config.write_text("[nonsense", "utf-8")
    assert (incoming()["ok"], str(incoming()["detail"])[:12]) == (True, "not checked:")


def test_what_others_keep_on_the_share_is_their_business(nas_lab: Lab) -> None:
    theirs = nas_lab.nas / "theirs"
    shutil.copytree(nas_lab.nas / "run-1", theirs)
    receipt = theirs / ".exlab-wizard/receipt.json"
    receipt.write_text(json.dumps({**json.loads(receipt.read_text("utf-8")), "job_key": "0123456789abcdef-1"}), "utf-8")
    flip(theirs / "a.raw")
    (nas_lab.nas / ".exlab-incoming/0123456789abcdef-1").mkdir(parents=True)
    (nas_lab.nas / ".snapshots").mkdir()
    (nas_lab.nas / "read me.txt").write_text("for people", "utf-8")
    with nas_lab.store() as store:
        assert audit(store, SettingsFile(nas_lab.config).read()) == []


def test_the_command_says_what_it_read_and_fails_on_a_fault(
    nas_lab: Lab, capsys: pytest.CaptureFixture[str], cli: Cli
) -> None:
    def check(*more: str) -> tuple[int, str]:
        answer = cli("--state-dir", str(nas_lab.state), "db", "check", *more)
        return answer.status, answer.out

    status, out = check("--runs", "--json")
    document = json.loads(out)
    assert (status, document["ok"], document["faults"]) == (0, True, [])
    assert {rule.value for rule in Rule} <= {finding["name"] for finding in document["findings"]}
    flip(nas_lab.nas / "run-1/a.raw")
    assert check()[0] == 0
    status, out = check("--runs")
    assert status == 1
    assert f"{nas_lab.nas / 'run-1/a.raw'}: its content differs from what was verified" in out
    status, out = check("--runs", "--json")
    assert (status, json.loads(out)["ok"], len(json.loads(out)["faults"])) == (1, False, 1)
    assert capsys.readouterr().out == ""


@pytest.mark.sampled
@pytest.mark.slow
@pytest.mark.parametrize("point", [Point.MERGE_FILE_PUBLISHED, Point.RECEIPT_BEFORE_REPLACE, Point.MERGE_BEFORE_CLEAR])
def test_a_run_between_two_steps_of_a_merge_is_no_fault(nas_lab: Lab, synced: Lab, point: Point) -> None:
    shutil.copytree(synced.home / "instrument", nas_lab.home / "instrument")
    nas_lab.query("UPDATE sync_jobs SET run_path = replace(run_path, ?, ?)", str(synced.home), str(nas_lab.home))
    for receipt in nas_lab.nas.rglob("receipt.json"):
        receipt.write_text(receipt.read_text("utf-8").replace(str(synced.home), str(nas_lab.home)), "utf-8")
    run = nas_lab.make_run(files={"later/1.tif": 50_000, "later/2.tif": 60_000}, seed=3)
    nas_lab.sync(run)
    nas_lab.kill_at(point)
    with nas_lab.store() as store:
        assert audit(store, SettingsFile(nas_lab.config).read()) == []
        assert [state.value for state in store.history.states_of_run(str(run), "nas").values()] == [
            "verified",
            "verifying",
        ]
        store.jobs.decide([3], OperatorMove.CANCEL)
        assert audit(store, SettingsFile(nas_lab.config).read()) == []

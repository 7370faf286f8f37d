from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.cli.calls import Cli

from exlab_wizard.transfer.destination.marker import MARKER


def test_a_destination_is_added_marked_listed_and_tested(cli: Cli, tmp_path: Path, state_dir: Path) -> None:
    folder = tmp_path / "share"
    assert cli("destination", "add", "nas", str(folder), "--create", "--bandwidth", "2.5").status == 0
    assert (folder / MARKER).is_file()
    listed = cli("destination", "list", "--json").document
    assert listed == [{"name": "nas", "target": str(folder), "bandwidth_mib_s": 2.5, "schedule": []}]
    assert "2.5 MiB/s" in cli("destination", "list").out
    tested = cli("destination", "test", "nas", "--json").document
    assert isinstance(tested, dict)
    assert tested["ok"] is True
    assert [entry.name for entry in folder.iterdir()] == [MARKER]
    assert "nas" in (state_dir / "config.toml").read_text("utf-8")


def test_adding_it_again_only_renews_the_marker(cli: Cli, nas: Path, state_dir: Path) -> None:
    before = (state_dir / "config.toml").read_bytes()
    (nas / MARKER).unlink()
    assert cli("destination", "add", "nas", str(nas)).status == 0
    assert (nas / MARKER).is_file()
    assert (state_dir / "config.toml").read_bytes() == before


def test_a_known_name_is_not_turned_to_another_folder(cli: Cli, nas: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    answer = cli("destination", "add", "nas", str(tmp_path / "other"))
    assert answer.status == 4
    assert str(nas) in answer.err
    assert list((tmp_path / "other").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("bad name", "good"),
        ("../up", "good"),
        ("n" * 64, "good"),
        ("ok", "missing"),
        ("ok", "file"),
        ("ok", ""),
        ("ok", "ssh://user@host/srv"),
        ("ok", "rclone:lab:lab"),
        ("ok", "file/below"),
    ],
)
def test_bad_input_changes_nothing(  # noqa: PLR0913, PLR0917 - two of them are fixtures of pytest
    name: str, target: str, cli: Cli, tmp_path: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    answer = cli("destination", "add", name, target)
    assert answer.status == 2
    assert len(answer.err.splitlines()) == 1
    assert list((tmp_path / "good").iterdir()) == []
    assert not state_dir.exists()


def test_when_the_configuration_cannot_be_written_the_folder_is_as_before(
    cli: Cli, tmp_path: Path, state_dir: Path
) -> None:
    state_dir.touch()
    folder = tmp_path / "made"
    answer = cli("destination", "add", "nas", str(folder), "--create")
    assert answer.status == 2
    assert len(answer.err.splitlines()) == 1
    assert not folder.exists()


def test_a_destination_that_is_away_fails_its_test(cli: Cli, nas: Path) -> None:
    (nas / MARKER).unlink()
    answer = cli("destination", "test", "nas")
    assert answer.status == 1
    assert "offline" in answer.out
    nas.rename(nas.with_name("gone"))
    assert cli("destination", "test", "nas").status == 1
    assert cli("destination", "test", "moon").status == 2

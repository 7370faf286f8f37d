from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from tests.integration.cli.calls import Cli

from exlab_wizard import __version__
from exlab_wizard.cli.main import cli as group
from exlab_wizard.cli.main import main
from exlab_wizard.domain.text.names import visible


def test_help_and_version_load_nothing_heavy() -> None:
    probe = (
        "import sys\nfrom exlab_wizard.cli.main import main\n"
        "assert main(['--help']) == 0\nassert main(['--version']) == 0\n"
        "loaded = {'sqlalchemy', 'pydantic', 'rich', 'alembic', 'psutil', 'filelock'} & set(sys.modules)\n"
        "print(sorted(loaded), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert ended.stderr == "[]\n"
    assert f"exlab-wizard {__version__}" in ended.stdout


def every_command(above: click.Group, *words: str) -> Iterator[list[str]]:
    context = click.Context(above)
    for name in above.list_commands(context):
        command = above.get_command(context, name)
        yield [*words, name]
        if isinstance(command, click.Group):
            yield from every_command(command, *words, name)


@pytest.mark.parametrize("words", list(every_command(group)), ids=" ".join)
def test_every_command_teaches_with_an_example(words: list[str], cli: Cli) -> None:
    answer = cli(*words, "--help")
    assert answer.status == 0
    assert "Example:\n" in answer.out
    assert "exlab-wizard" in answer.out.partition("Example:")[2]


@pytest.mark.parametrize(
    "words", [["--bogus"], ["nope"], ["sync"], ["jobs", "seven"], ["jobs", "9" * 30], ["jobs", "0"]]
)
def test_wrong_usage_is_one_line_and_status_2(words: list[str], cli: Cli, state_dir: Path) -> None:
    answer = cli(*words)
    assert answer.status == 2
    assert answer.out == ""
    assert len(answer.err.splitlines()) == 1
    assert answer.err.startswith("exlab-wizard: ")
    assert "--help" in answer.err
    assert not state_dir.exists()


def test_without_a_command_the_help_is_shown() -> None:
    ended = subprocess.run([sys.executable, "-m", "exlab_wizard"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "Commands:" in ended.stderr


@pytest.mark.parametrize(
    "words", [["jobs"], ["jobs", "7"], ["sessions"], ["history"], ["retry", "7"], ["db", "upgrade"]]
)
def test_looking_never_creates_a_database(words: list[str], cli: Cli, state_dir: Path) -> None:
    answer = cli(*words)
    assert answer.status == 1
    assert "there is no database at" in answer.err
    assert not state_dir.exists()


def test_each_fault_of_the_settings_is_a_line_of_its_own(cli: Cli, nas: Path, state_dir: Path) -> None:
    (state_dir / "config.toml").write_text("[quit]\nwindow_s = -1\nwindows = 3\n", "utf-8")
    answer = cli("destination", "list")
    assert answer.status == 2
    assert len(answer.err.splitlines()) == 2
    assert all(line.startswith("exlab-wizard: ") for line in answer.err.splitlines())
    assert nas.is_dir()


def test_ctrl_c_is_one_line_and_status_130(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("exlab_wizard.cli.commands.status.from_application", interrupted)
    answer = cli("status")
    assert (answer.status, answer.err) == (130, "exlab-wizard: stopped\n")


@pytest.mark.skipif(os.name != "posix", reason="a pipe without a reader is SIGPIPE's kin")
def test_a_reader_that_leaves_ends_it_quietly(command: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run([*command, "sql"], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert ended.returncode == 141
    assert ended.stderr == ""


def test_the_environment_names_state_dir_and_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EXLAB_STATE_DIR", str(tmp_path / "elsewhere"))
    assert main(["db", "path"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "elsewhere" / "exlab-wizard.db")
    config = tmp_path / "own.toml"
    config.write_text('[destinations.far]\ntarget = "/far"\n', "utf-8")
    monkeypatch.setenv("EXLAB_CONFIG", str(config))
    assert main(["destination", "list"]) == 0
    assert "far" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain [red]name[/red]", "plain [red]name[/red]"),
        ("two\nlines", r"two\nlines"),
        ("\x1b[31mred", r"\x1b[31mred"),
        (os.fsdecode(b"caf\xe9"), r"caf\xe9"),
        ("na\u202eme", r"na\u202eme"),
        ("Zürich 測定", "Zürich 測定"),
    ],
)
def test_names_are_shown_never_obeyed(name: str, shown: str) -> None:
    assert visible(name) == shown

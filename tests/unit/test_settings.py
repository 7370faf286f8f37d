"""`config.toml`: what cannot be used is refused line by line, and what people wrote beside it stays."""

from __future__ import annotations

from datetime import time
from pathlib import Path

import pytest

from exlab_wizard.errors import SettingsError
from exlab_wizard.settings import Settings, SettingsFile, parse

WHOLE = """\
# our lab
[quit]
window_s = 10   # short
session_end_window_s = 4

[sync]
workers = 4
settle_s = 0.5
stall_s = 60

[sessions]
ttl_s = 30

[destinations.nas]   # the one in the cellar
target = "/mnt/nas/lab"
bandwidth_mib_s = 50
schedule = [{ days = "mon-fri", from = "08:00", to = "18:00" }]
"""


def faults(text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        parse(text, "config.toml")
    assert caught.value.exit_status == 2
    return str(caught.value).splitlines()


def test_without_a_file_everything_has_its_default(tmp_path: Path) -> None:
    settings = SettingsFile(tmp_path / "config.toml").read()
    assert settings == Settings()
    assert (settings.quit.window_s, settings.quit.session_end_window_s) == (30, 5)
    assert (settings.sync.workers, settings.sync.settle_s, settings.sync.stall_s, settings.sessions.ttl_s) == (
        2,
        2,
        120,
        60,
    )
    assert settings.destinations == {}


def test_every_value_of_a_file_is_used() -> None:
    settings = parse(WHOLE, "config.toml")
    assert (settings.quit.window_s, settings.quit.session_end_window_s) == (10, 4)
    assert (settings.sync.workers, settings.sync.settle_s, settings.sync.stall_s, settings.sessions.ttl_s) == (
        4,
        0.5,
        60,
        30,
    )
    nas = settings.destinations["nas"]
    assert (nas.folder, nas.limit_bytes_s) == (Path("/mnt/nas/lab"), 50 * 1024 * 1024)
    (window,) = nas.windows
    assert (window.days, window.start, window.end) == (frozenset(range(5)), time(8), time(18))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[sync]\nworker = 3", "sync.worker"),
        ("[synk]\nworkers = 3", "synk"),
        ("workers = 3", "workers"),
        ('[destinations.nas]\ntarget = "/mnt"\nbandwith_mib_s = 5', "destinations.nas.bandwith_mib_s"),
    ],
)
def test_an_unknown_key_is_named(text: str, key: str) -> None:
    assert faults(text) == [f"config.toml: {key}: unknown key; docs/settings.md lists the known ones"]


@pytest.mark.parametrize(
    ("text", "start", "allowed"),
    [
        ("[sync]\nworkers = 0", "config.toml: sync.workers = 0: ", "greater than or equal to 1"),
        ("[sync]\nworkers = 33", "config.toml: sync.workers = 33: ", "less than or equal to 32"),
        ("[sync]\nworkers = 1.5", "config.toml: sync.workers = 1.5: ", "integer"),
        ("[quit]\nwindow_s = -1", "config.toml: quit.window_s = -1: ", "greater than or equal to 0"),
        ("[quit]\nwindow_s = nan", "config.toml: quit.window_s = nan: ", "less than or equal to 86400"),
        ("[sync]\nstall_s = inf", "config.toml: sync.stall_s = inf: ", "less than or equal to 86400"),
        ('[quit]\nwindow_s = "soon"', "config.toml: quit.window_s = 'soon': ", "number"),
        ("[sessions]\nttl_s = 1e9", "config.toml: sessions.ttl_s = 1000000000.0: ", "less than or equal to 3600"),
        ("quit = 5", "config.toml: quit = 5: ", "valid dictionary"),
        ('[destinations.nas]\ntarget = "lab"', "config.toml: destinations.nas.target = 'lab': ", "absolute folder"),
        (
            '[destinations.nas]\ntarget = "ssh://u@h/x"',
            "config.toml: destinations.nas.target = 'ssh://u@h/x': ",
            "only folders as targets",
        ),
        ("[destinations.nas]", "config.toml: destinations.nas.target ", "is missing"),
        (
            '[destinations."a b"]\ntarget = "/mnt"',
            "config.toml: destinations = ",
            "use at most 63 letters, digits, - and _",
        ),
        (
            '[destinations.n]\ntarget = "/m"\nschedule = [{ days = "mo", from = "08:00", to = "09:00" }]',
            "config.toml: destinations.n.schedule.0.days = 'mo': ",
            "known are mon, tue",
        ),
        (
            '[destinations.n]\ntarget = "/m"\nschedule = [{ days = "mon", from = "25:00", to = "09:00" }]',
            "config.toml: destinations.n.schedule.0.from = '25:00': ",
            "time",
        ),
        (
            '[destinations.n]\ntarget = "/m"\nbandwidth_mib_s = 0',
            "config.toml: destinations.n.bandwidth_mib_s = 0: ",
            "greater than 0",
        ),
    ],
)
def test_an_invalid_value_is_one_line_with_file_key_value_and_what_is_allowed(
    text: str, start: str, allowed: str
) -> None:
    (line,) = faults(text)
    assert line.startswith(start)
    assert allowed in line


def test_all_faults_are_told_at_once_each_on_its_line() -> None:
    found = faults("[sync]\nworkers = 0\nstall_s = 0\nspeed = 9\n[quit]\nwindow_s = -1")
    assert sorted(line.split(": ")[1].split(" = ")[0] for line in found) == [
        "quit.window_s", "sync.speed", "sync.stall_s", "sync.workers",
    ]  # fmt: skip


def test_a_file_that_is_no_toml_says_where(tmp_path: Path) -> None:
    (line,) = faults("[sync\nworkers = 2")
    assert line.startswith("config.toml: not valid TOML: ")
    assert "line 1" in line
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="cannot be read"):
        SettingsFile(path).read()
    path.unlink()
    path.mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        SettingsFile(path).read()


def test_a_new_destination_leaves_comments_and_order_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(WHOLE)
    file = SettingsFile(path)
    settings = file.add_destination("tape", "/mnt/tape", 5)
    assert path.read_text().startswith(WHOLE.rstrip())
    assert settings == file.current == SettingsFile(path).read()
    assert settings.destinations["tape"].bandwidth_mib_s == 5
    assert settings.destinations["nas"] == parse(WHOLE, "").destinations["nas"]
    assert path.stat().st_mode & 0o077 == 0
    assert [found.name for found in tmp_path.iterdir()] == ["config.toml"]


def test_the_first_destination_creates_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config" / "config.toml"
    SettingsFile(path).add_destination("local", "/srv/nas")
    assert SettingsFile(path).read().destinations["local"].folder == Path("/srv/nas")


@pytest.mark.parametrize(("name", "target"), [("nas", "relative"), ("a b", "/mnt/x"), ("", "/mnt/x")])
def test_a_destination_that_cannot_be_used_changes_nothing(tmp_path: Path, name: str, target: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(WHOLE)
    with pytest.raises(SettingsError):
        SettingsFile(path).add_destination(name, target)
    assert path.read_text() == WHOLE


def test_adding_to_a_broken_file_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[sync\n")
    with pytest.raises(SettingsError, match="not valid TOML"):
        SettingsFile(path).add_destination("nas", "/mnt/nas")
    assert path.read_text() == "[sync\n"


def test_a_change_on_disk_is_noticed_and_a_bad_one_keeps_the_good_settings(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    file = SettingsFile(path)
    file.read()
    assert not file.changed()
    path.write_text("[sync]\nworkers = 7\n")
    assert file.changed()
    file.read()
    assert (file.current.sync.workers, file.changed()) == (7, False)
    path.write_text("[sync]\nworkers = 700\n")
    assert file.changed()
    with pytest.raises(SettingsError):
        file.read()
    assert file.current.sync.workers == 7
    assert not file.changed(), "it is not read again until it changes again"
    for replace in (path.unlink, path.touch):  # the moments in which an editor writes the file anew
        replace()
        assert file.changed()
        with pytest.raises(SettingsError, match="is missing or empty"):
            file.read()
        assert file.current.sync.workers == 7

"""A form changes what it names in `config.toml` and nothing else, or nothing at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from exlab_wizard.errors import SettingsError
from exlab_wizard.settings import SettingsFile
from exlab_wizard.settings_edit import FieldsError, Key, SettingsChange, SettingsChangedError, Toml

FILE = """# the laboratory's own notes
[quit]
window_s = 30      # agreed with the night shift

[destinations.nas] # the big one
target = "/mnt/nas"
bandwidth_mib_s = 50 # until the new switch
# the last word
"""
LIMIT: Key = ("destinations", "nas", "bandwidth_mib_s")
SCHEDULE: Key = ("destinations", "nas", "schedule")
WINDOW: Key = ("quit", "window_s")
SATURDAY = 'days = "sat"\nfrom = "08:00"\nto = "09:00"\n'
HOURS: Toml = [{"days": "mon-fri", "from": "08:00", "to": "18:00"}]


@pytest.fixture
def file(tmp_path: Path) -> SettingsFile:
    path = tmp_path / "config.toml"
    path.write_text(FILE, "utf-8")
    settings = SettingsFile(path)
    settings.read()
    return settings


def test_only_the_named_value_changes_comments_stay_and_it_counts_at_once(file: SettingsFile) -> None:
    change = SettingsChange(file)
    assert change.save(change.read().token, {LIMIT: 12.5, WINDOW: 30.0})
    assert file.path.read_text("utf-8") == FILE.replace("= 50 #", "= 12.5 #")
    assert file.current.destinations["nas"].bandwidth_mib_s == 12.5
    assert not file.changed()


def test_what_is_as_it_was_is_not_written(file: SettingsFile) -> None:
    change, before = SettingsChange(file), file.path.stat()
    assert not change.save(change.read().token, {LIMIT: 50.0, SCHEDULE: None})
    assert file.path.stat().st_mtime_ns == before.st_mtime_ns


def test_a_limit_is_taken_away_and_hours_are_added(file: SettingsFile) -> None:
    change = SettingsChange(file)
    assert change.save(change.read().token, {LIMIT: None, SCHEDULE: HOURS})
    nas = SettingsFile(file.path).read().destinations["nas"]
    assert nas.bandwidth_mib_s is None
    assert [(entry.days, entry.from_.hour) for entry in nas.schedule] == [("mon-fri", 8)]
    assert "# the last word" in file.path.read_text("utf-8")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({LIMIT: -1}, LIMIT),
        ({LIMIT: float("nan")}, LIMIT),
        ({LIMIT: "fast"}, LIMIT),
        ({WINDOW: 5, LIMIT: 0}, LIMIT),
        ({SCHEDULE: [{"days": "someday", "from": "08:00", "to": "18:00"}]}, (*SCHEDULE, 0, "days")),
        ({SCHEDULE: [{"days": "mon", "from": "8 o'clock", "to": "18:00"}]}, (*SCHEDULE, 0, "from")),
    ],
)
def test_a_value_that_is_not_allowed_is_told_by_its_field_and_nothing_is_saved(
    file: SettingsFile, values: dict[Key, Toml], field: tuple[int | str, ...]
) -> None:
    change = SettingsChange(file)
    with pytest.raises(FieldsError) as caught:
        change.save(change.read().token, values)
    assert set(caught.value.faults) == {field}
    assert caught.value.faults[field].endswith(".")
    assert file.path.read_text("utf-8") == FILE


def test_a_file_that_somebody_else_changed_is_left_alone(file: SettingsFile) -> None:
    change = SettingsChange(file)
    token = change.read().token
    theirs = FILE.replace("30 ", "45 ")
    file.path.write_text(theirs, "utf-8")
    with pytest.raises(SettingsChangedError):
        change.save(token, {LIMIT: 5})
    assert file.path.read_text("utf-8") == theirs
    assert change.save(change.read().token, {LIMIT: 5})


def test_a_link_to_the_file_stays_a_link(file: SettingsFile, tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(file.path)
    change = SettingsChange(SettingsFile(link))
    assert change.save(change.read().token, {LIMIT: 5})
    assert link.is_symlink()
    assert file.read().destinations["nas"].bandwidth_mib_s == 5


def test_a_file_with_a_fault_is_neither_read_nor_changed(file: SettingsFile) -> None:
    change = SettingsChange(file)
    file.path.write_text("[quit]\nwindow_s = 'x'\n", "utf-8")
    with pytest.raises(SettingsError, match=r"quit\.window_s"):
        change.read()


@pytest.mark.parametrize(
    "text",
    [
        "",
        'destinations = { nas = { target = "/mnt/nas" } }\n',
        '[destinations]\nnas.target = "/mnt/nas"\nnas.bandwidth_mib_s = 1\n',
        '[destinations.nas]\ntarget = "/mnt/nas"\n[[destinations.nas.schedule]]\n' + SATURDAY,
        '[destinations.other]\ntarget = "/mnt/x"\n[sync]\nworkers = 1\n[destinations.nas]\ntarget = "/mnt/nas"\n',
    ],
    ids=["empty", "inline", "dotted", "array of tables", "out of order"],
)  # fmt: skip
def test_every_way_to_write_the_file_is_understood(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text, "utf-8")
    change = SettingsChange(SettingsFile(path))
    values: dict[Key, Toml] = {WINDOW: 7}
    if text:
        values |= {LIMIT: 9, SCHEDULE: HOURS}
    assert change.save(change.read().token, values)
    new = change.read().settings
    assert new.quit.window_s == 7
    assert not text or (new.destinations["nas"].bandwidth_mib_s, len(new.destinations["nas"].schedule)) == (9, 1)

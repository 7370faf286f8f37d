"""Autostart, with the tools that read what it writes; other systems behind the same protocol."""

from __future__ import annotations

import json
import plistlib
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from gi.repository import Gio
from tests.support.program import Program, until
from tests.support.screen import script

from exlab_wizard.process.autostart.entry import Autostart, AutostartStatus
from exlab_wizard.process.autostart.linux import DesktopEntry, SystemdUnit, linux_places
from exlab_wizard.process.autostart.macos import LaunchAgent
from exlab_wizard.process.autostart.port import AutostartError, LoginCommand
from exlab_wizard.process.autostart.windows import RunKey, WindowsRegistry

ODD: Final = ["a b", "100%", "%n", 'say "x"', "it's", "back\\slash", "`id`", "a;b&c|d", "ü", "a=b", "#x", "~", "*"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An account with a configuration folder, and a runtime folder for the tools."""
    (tmp_path / "runtime").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    return {"XDG_CONFIG_HOME": str(tmp_path / "config"), "XDG_RUNTIME_DIR": str(tmp_path / "runtime")}


def launch_of(program: Path, *words: str) -> LoginCommand:
    return LoginCommand([str(program), *words], "/srv/state", 15)


def of(home: Mapping[str, str], launch: LoginCommand, *, systemd: bool = True) -> Autostart:
    return Autostart(linux_places(home, Path("/") if systemd else Path("/nowhere")), launch)


def test_on_and_off_are_idempotent_and_leave_nothing(home: dict[str, str], tmp_path: Path) -> None:
    autostart = of(home, launch_of(script(tmp_path / "program", "exit 0")))
    assert autostart.status() == AutostartStatus(on=False, places={})
    assert [autostart.switch(on=True), autostart.switch(on=True)] == [True, False]
    config = Path(home["XDG_CONFIG_HOME"])
    unit = config / "systemd/user/exlab-wizard.service"
    entry = config / "autostart/exlab-wizard.desktop"
    places = {"systemd": str(unit), "xdg": str(entry)}
    assert autostart.status() == AutostartStatus(
        on=True, places=places, program=str(tmp_path / "program"), state_dir="/srv/state", stale=False
    )
    wanted = config / "systemd/user/graphical-session.target.wants/exlab-wizard.service"
    assert wanted.resolve() == unit
    assert [autostart.switch(on=False), autostart.switch(on=False)] == [True, False]
    assert [path for path in config.rglob("*") if not path.is_dir()] == []
    assert not wanted.is_symlink()


@pytest.mark.parametrize("name", [name for name in ODD if not {'"', "'", "\\"} & set(name)])
def test_systemd_reads_the_unit_and_finds_the_program_whatever_its_name(
    home: dict[str, str], tmp_path: Path, name: str
) -> None:
    program = script(tmp_path / name, "exit 0")
    unit = SystemdUnit(tmp_path / "units", home)
    unit.write(unit.text(launch_of(program, *ODD, "$HOME")))
    verified = subprocess.run(
        ["systemd-analyze", "--user", "verify", unit.where], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    program.unlink()
    verified = subprocess.run(
        ["systemd-analyze", "--user", "verify", unit.where], capture_output=True, text=True, check=False
    )
    assert f"{program} is not executable" in verified.stderr  # it was this very program that it looked for


def test_the_unit_survives_what_it_should_and_gives_a_quit_its_time(home: dict[str, str], tmp_path: Path) -> None:
    text = SystemdUnit(tmp_path, home).text(launch_of(Path("/usr/bin/env"), "$x"))
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    assert values["Restart"] == "on-failure"
    assert (values["TimeoutStopSec"], values["KillMode"]) == ("15", "mixed")
    assert values["ExecStart"] == '"/usr/bin/env" "$$x"'


def test_a_desktop_starts_the_entry_with_every_word_as_it_was(home: dict[str, str], tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    program = script(tmp_path / "pro gram", f"printf '%s\\n' \"$@\" > {seen}.part; mv {seen}.part {seen}")
    words = [*ODD, "$HOME", "$$", "%f"]
    autostart = of(home, launch_of(program, *words), systemd=False)
    autostart.switch(on=True)
    file = Path(autostart.status().places["xdg"])
    checked = subprocess.run(["desktop-file-validate", file], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")
    entry = Gio.DesktopAppInfo.new_from_filename(str(file))
    assert entry is not None
    assert entry.launch([], None)
    until(seen.exists, what="the program to be started")
    assert seen.read_text("utf-8").splitlines() == [*words, "--background"]


def test_beside_the_unit_the_desktop_entry_is_passed_over_where_systemd_runs_the_session(
    home: dict[str, str], tmp_path: Path
) -> None:
    launch = launch_of(script(tmp_path / "program", "exit 0"))
    both, alone = of(home, launch), of(home, launch, systemd=False)
    both.switch(on=True)
    assert "X-systemd-skip=true" in Path(both.status().places["xdg"]).read_text("utf-8")
    both.switch(on=False)
    alone.switch(on=True)
    assert list(alone.status().places) == ["xdg"]
    assert "X-systemd-skip" not in Path(alone.status().places["xdg"]).read_text("utf-8")


@pytest.mark.parametrize("name", ["new\nline", "escape\x1b"])
def test_what_an_entry_cannot_carry_is_refused_and_nothing_is_written(home: dict[str, str], name: str) -> None:
    with pytest.raises(AutostartError, match="control character"):
        of(home, launch_of(Path("/usr/bin/env"), name)).switch(on=True)
    for program in ("/opt/$x", '/opt/"', "/opt/it's", "/opt/back\\slash"):
        with pytest.raises(AutostartError, match="systemd accepts no"):
            of(home, launch_of(Path(program))).switch(on=True)
    assert not Path(home["XDG_CONFIG_HOME"]).exists()


def test_a_launch_puts_right_what_is_stale_and_ours_and_nothing_else(home: dict[str, str], tmp_path: Path) -> None:
    old, new = script(tmp_path / "old", "exit 0"), script(tmp_path / "new", "exit 0")
    assert of(home, launch_of(new)).repair() is False  # who never wanted it does not get it
    of(home, launch_of(old)).switch(on=True)
    assert of(home, launch_of(new)).repair() is False  # another installation, which is there
    elsewhere = replace(launch_of(new), state_dir="/another")
    old.unlink()
    assert of(home, elsewhere).repair() is False
    assert of(home, elsewhere).status().stale
    assert of(home, launch_of(new)).repair() is True
    assert of(home, launch_of(new)).status().program == str(new)
    longer = replace(launch_of(new), stop_s=30)
    assert of(home, longer).status().stale
    assert of(home, longer).repair() is True
    assert "TimeoutStopSec=30" in Path(of(home, longer).status().places["systemd"]).read_text("utf-8")


def test_what_a_tool_of_the_desktop_switched_off_stays_off_everywhere(home: dict[str, str], tmp_path: Path) -> None:
    autostart = of(home, launch_of(script(tmp_path / "program", "exit 0")))
    autostart.switch(on=True)
    file = Path(autostart.status().places["xdg"])
    file.write_text(file.read_text("utf-8") + "Hidden=true\n", "utf-8")
    assert not autostart.status().on
    assert autostart.repair() is True
    assert not any(Path(home["XDG_CONFIG_HOME"]).rglob("*.service"))
    assert autostart.switch(on=True)
    assert autostart.status().on


def test_a_place_that_cannot_be_written_is_told_in_one_sentence(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "config").write_text("no folder", "utf-8")
    with pytest.raises(AutostartError, match="Make it writable"):
        of(home, launch_of(Path("/usr/bin/env"))).switch(on=True)


def test_an_entry_that_somebody_else_wrote_is_replaced_only_when_asked(tmp_path: Path) -> None:
    entry = DesktopEntry(tmp_path / "exlab-wizard.desktop", beside_unit=False)
    (tmp_path / "exlab-wizard.desktop").write_bytes(b"[Desktop Entry]\nExec=\xff\n")
    autostart = Autostart([entry], launch_of(Path("/usr/bin/env")))
    assert autostart.status() == AutostartStatus(
        on=True, places={"xdg": entry.where}, program="", state_dir="", stale=True
    )
    assert autostart.repair() is False
    assert autostart.switch(on=True) is True


def test_the_command_writes_it_for_its_state_dir_and_the_program_starts_with_it(desk: Program) -> None:
    done = desk.call("autostart", "on", "--json")
    answer = json.loads(done.stdout)
    assert (answer["changed"], answer["on"], answer["stale"]) == (True, True, False)
    assert (answer["program"], answer["state_dir"]) == (sys.executable, str(desk.state))
    assert desk.call("autostart", "on").stdout.startswith("the application already starts at login")
    told = Path(answer["places"]["xdg"]).read_text("utf-8")
    Path(answer["places"]["xdg"]).write_text(told.replace("run", "walk"), "utf-8")
    assert "out of date" in desk.call("autostart", "status").stdout
    desk._spawn(desk.command("run", "--no-window", "--json"))  # noqa: SLF001 - the lab starts it headless
    desk.until_ready()
    until(lambda: Path(answer["places"]["xdg"]).read_text("utf-8") == told, what="the launch to put it right")
    assert desk.call("autostart", "off").stdout == "the application no longer starts at login\n"
    assert json.loads(desk.call("autostart", "status", "--json").stdout)["on"] is False


class FakeRegistry(WindowsRegistry):
    """The registry of Windows as far as it is used; no such system is at hand."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], str | bytes] = {}

    def get(self, key: str, name: str) -> str | bytes | None:
        return self.values.get((key, name))

    def set(self, key: str, name: str, value: str) -> None:
        self.values[key, name] = value

    def delete(self, key: str, name: str) -> None:
        self.values.pop((key, name), None)


def test_on_windows_it_is_a_value_of_the_run_key() -> None:
    registry = FakeRegistry()
    place = RunKey(registry)
    launch = LoginCommand(
        [r"C:\Program Files\Py\python.exe", "-m", "exlab_wizard", "--state-dir", r"D:\lab data"], "", 15
    )
    place.write(place.text(launch))
    ((key, name),) = registry.values
    assert (key.rpartition("\\")[2], name) == ("Run", "ExLab-Wizard")
    entry = place.read()
    assert entry is not None
    assert entry.text == r'"C:\Program Files\Py\pythonw.exe" -m exlab_wizard --state-dir "D:\lab data"'
    assert (entry.program, entry.state_dir) == (r"C:\Program Files\Py\pythonw.exe", r"D:\lab data")
    approved = key.replace("CurrentVersion", r"CurrentVersion\Explorer\StartupApproved")
    registry.values[approved, name] = b"\x03" + bytes(11)  # as the Task Manager does
    off = place.read()
    assert off is not None
    assert off.disabled
    place.write(entry.text)
    assert place.read() == entry
    place.remove()
    assert registry.values == {}
    with pytest.raises(AutostartError, match="260 characters"):
        place.text(LoginCommand(["C:\\" + "x" * 260], "", 15))


def test_on_macos_it_is_a_launch_agent(tmp_path: Path) -> None:
    place = LaunchAgent(tmp_path / "LaunchAgents")
    command = [str(script(tmp_path / "program", "exit 0")), "--state-dir", "/a <b> & 'c'", *ODD]
    autostart = Autostart([place], LoginCommand(command, "/a <b> & 'c'", 15))
    assert [autostart.switch(on=True), autostart.switch(on=True)] == [True, False]
    agent = plistlib.loads(Path(place.where).read_bytes())
    assert agent["ProgramArguments"] == command
    assert (agent["KeepAlive"], agent["ExitTimeOut"]) == ({"SuccessfulExit": False}, 15)
    assert autostart.status() == AutostartStatus(
        on=True, places={"launchd": place.where}, program=command[0], state_dir="/a <b> & 'c'", stale=False
    )
    assert Path(place.where).stat().st_mode & 0o777 == 0o644
    autostart.switch(on=False)
    assert place.read() is None

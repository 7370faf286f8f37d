"""`doctor` names what is wrong, with its remedy, and hangs with nothing: real files, processes and buses."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dbus_fast.aio import MessageBus
from tests.integration.cli.calls import Answer, Cli
from tests.support.program import PATIENCE_SECONDS, Program, until

from exlab_wizard.cli.commands import doctor
from exlab_wizard.diagnosis.doctor import desktop, machine, running, share
from exlab_wizard.diagnosis.doctor.checkup import Check, CheckResult, Verdict, check_up, worst
from exlab_wizard.diagnosis.doctor.process import checks
from exlab_wizard.domain.clock import to_text
from exlab_wizard.paths import StateDir
from exlab_wizard.process.session.dbus import NOTIFICATIONS, TRAY_HOST
from exlab_wizard.store.store import Store
from exlab_wizard.transfer.destination.marker import MARKER


def findings(answer: Answer) -> dict[str, CheckResult]:
    document = answer.document
    assert isinstance(document, dict)
    found = [CheckResult(**{**one, "verdict": Verdict(one["verdict"])}) for one in document["findings"]]
    assert document["verdict"] == worst(found)
    # What is not well always comes with what to do about it.
    assert [one for one in found if one.verdict is not Verdict.OK and not one.remedy] == []
    return {one.name: one for one in found}


def picture(*folders: Path) -> set[tuple[str, int]]:
    return {
        (str(path), path.stat().st_size if path.is_file() else 0) for folder in folders for path in folder.rglob("*")
    }


def test_a_machine_without_anything_is_well_and_stays_untouched(cli: Cli, state_dir: Path) -> None:
    answer = cli("doctor", "--json")
    assert answer.status == 0
    assert findings(answer)["destinations"].remedy == "exlab-wizard destination add NAME FOLDER"
    assert not state_dir.exists()


def test_a_machine_at_work_is_looked_at_and_nothing_is_left_there(
    cli: Cli, store: Store, nas: Path, state_dir: Path
) -> None:
    store.close()
    state_dir.chmod(0o700)
    before = picture(nas)
    answer = cli("doctor", "--json")
    assert answer.status == 0, answer.err
    found = findings(answer)
    assert picture(nas) == before
    assert not [path for path in state_dir.iterdir() if path.name.startswith(machine.SCRATCH)]
    for name in (
        "settings",
        "state dir",
        "permissions",
        "sqlite",
        "database",
        "structure",
        "pending work",
        "failed work",
    ):
        assert found[name].verdict is Verdict.OK, found[name]
    for name in ("reachable", "marker", "writable", "rename", "case", "longest name", "free space", "clock"):
        assert found[f"nas: {name}"].verdict is Verdict.OK, found[f"nas: {name}"]
    # The run of the fixture lies beside the destination.
    assert "one failure destroys both" in found["nas: disk"].detail
    assert found["backups"].remedy.startswith("exlab-wizard db backup")
    assert "not running" in found["application"].detail


def test_people_get_lines_with_the_remedy_below(cli: Cli, nas: Path) -> None:
    (nas / MARKER).unlink()
    answer = cli("doctor")
    assert answer.status == 1
    assert "error  nas: marker: " in answer.out
    assert "       → Mount the share." in answer.out
    assert answer.err == "exlab-wizard: found problems: nas: marker; the remedies are above\n"


def test_a_damaged_database_is_an_error_with_the_way_back(cli: Cli, store: Store, state_dir: Path) -> None:
    assert cli("db", "backup").status == 0
    store.close()
    database = state_dir / "exlab-wizard.db"
    size = database.stat().st_size
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    answer = cli("doctor", "--json")
    assert answer.status == 1
    found = findings(answer)
    (backup,) = (state_dir / "backups").glob("*.db")
    assert found["database"].verdict is Verdict.ERROR
    assert found["database"].remedy == f"Restore the newest backup with: exlab-wizard db restore {str(backup)!r}"
    assert "nas: rename" in found


@pytest.mark.parametrize("content", [b"this is no database at all" * 400, b""])
def test_what_is_no_database_of_ours_is_an_error(cli: Cli, nas: Path, state_dir: Path, content: bytes) -> None:
    assert nas.is_dir()
    (state_dir / "exlab-wizard.db").write_bytes(content)
    answer = cli("doctor", "--json")
    assert (answer.status, findings(answer)["database"].verdict) == (1, Verdict.ERROR)
    assert (state_dir / "exlab-wizard.db").read_bytes() == content


def test_a_setting_that_is_wrong_is_an_error_and_the_rest_is_looked_at(cli: Cli, nas: Path, state_dir: Path) -> None:
    assert nas.is_dir()
    (state_dir / "config.toml").write_text("[sync]\nworkers = 99\n", "utf-8")
    answer = cli("doctor", "--json")
    found = findings(answer)
    assert answer.status == 1
    assert "sync.workers = 99" in found["settings"].detail
    assert found["state dir"].verdict is Verdict.OK


def test_crashes_old_work_and_failed_jobs_are_warnings(cli: Cli, store: Store) -> None:
    connection = store.database.connection()
    long_ago = to_text(datetime.now(UTC) - timedelta(days=3))
    for reason in ("crashed", "drained"):
        connection.execute(
            "INSERT INTO launches (host, boot_id, pid, process_started_at, version, started_at, healthy_at, ended_at,"
            " end_reason) VALUES ('h', 'b', 1, ?1, '0', ?1, ?1, ?1, ?2)",
            (long_ago, reason),
        )
    connection.execute("UPDATE sync_jobs SET enqueued_at = ?", (long_ago,))
    found = findings(cli("doctor", "--json"))
    assert found["launches"].detail.startswith("1 of the last 2 crashed")
    assert found["pending work"].detail == f"1 for nas since {long_ago[:10]}"
    connection.execute("UPDATE launches SET ended_at = 'typed with SQL'")
    assert findings(cli("doctor", "--json"))["launches"].detail.startswith("1 of the last 2 crashed")
    connection.execute("UPDATE sync_jobs SET finished_at = ?, state = 'cancelled'", (long_ago,))
    connection.execute("UPDATE launches SET end_reason = 'crashed', healthy_at = NULL")
    connection.execute(
        "INSERT INTO launches (host, boot_id, pid, process_started_at, version, started_at, ended_at, end_reason)"
        " VALUES ('h', 'b', 1, ?1, '0', ?1, ?1, 'crashed')",
        (long_ago,),
    )
    found = findings(cli("doctor", "--json"))
    assert (found["launches"].verdict, found["pending work"].verdict) == (Verdict.ERROR, Verdict.OK)


def test_a_clock_that_was_set_back_is_a_warning(cli: Cli, store: Store) -> None:
    store.database.connection().execute(
        "INSERT INTO launches (host, boot_id, pid, process_started_at, version, started_at)"
        " VALUES ('h', 'b', 1, ?1, '0', ?1)",
        (to_text(datetime.now(UTC) + timedelta(days=2)),),
    )
    assert "the clock was set back" in findings(cli("doctor", "--json"))["launches"].detail


@pytest.mark.skipif(os.name != "posix", reason="modes and pipes of POSIX")
def test_a_state_dir_that_others_can_read_is_a_warning(cli: Cli, nas: Path, state_dir: Path) -> None:
    assert nas.is_dir()
    state_dir.chmod(0o755)
    assert findings(cli("doctor", "--json"))["permissions"].remedy == f"chmod 700 {str(state_dir)!r}"


def test_a_disk_that_is_nearly_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "WARN_ROOM_BYTES", 1 << 62)
    assert machine.room("room", tmp_path).verdict is Verdict.WARN
    monkeypatch.setattr(machine, "ERROR_ROOM_BYTES", 1 << 62)
    assert machine.room("room", tmp_path).verdict is Verdict.ERROR


@contextlib.contextmanager
def never_read(path: Path) -> Iterator[None]:
    """Let whoever reads the file at `path` wait, until the end of the block."""
    path.unlink()
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR)
    try:
        yield
    finally:
        # In this order: who comes late finds nothing, who waits reads its end.
        path.unlink()
        os.close(writer)


@pytest.fixture
def hanging(nas: Path) -> Iterator[Path]:
    """A destination whose marker file never answers, until the end of the test."""
    with never_read(nas / MARKER):
        yield nas


def test_a_share_that_hangs_is_given_up_and_the_steps_before_are_told(hanging: Path) -> None:
    look = Check("nas", lambda: share.examine(hanging, "some id"), share.REMEDY, timeout_s=0.3)
    names = [(one.name, one.verdict) for one in check_up([look, Check("sqlite", machine.programs)])]
    assert names[:2] == [("reachable", Verdict.OK), ("nas", Verdict.ERROR)]
    assert ("rsync", Verdict.OK) in names


def test_a_look_that_fails_keeps_no_other_from_being_told() -> None:
    def fail() -> Iterator[CheckResult]:
        yield CheckResult("first", Verdict.OK, "")
        msg = "unforeseen"
        raise LookupError(msg)

    found = list(check_up([Check("one", fail), Check("two", machine.programs)]))
    assert [(one.name, one.verdict) for one in found[:2]] == [("first", Verdict.OK), ("one", Verdict.ERROR)]
    assert "LookupError: unforeseen" in found[1].detail
    assert found[-1].name == "ssh"


def test_a_process_that_hangs_itself_is_left_behind(
    cli: Cli, nas: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nas.is_dir()
    monkeypatch.setattr(doctor, "MOST_SECONDS", 1.0)
    with never_read(state_dir / "config.toml"):
        answer = cli("doctor", "--json")
    assert (answer.status, [*findings(answer)]) == (1, ["doctor"])


def test_an_application_that_runs_is_asked_and_one_that_hangs_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Program(tmp_path) as program:
        program.start()
        assert program.api("GET", "/drain")[0] == 200
        place = StateDir(program.state)
        found = {one.name: one for one in running.application(place)}
        assert found["application"].detail == f"running (pid {program.process.pid})"
        assert found["server"].detail.startswith("answers at http://127.0.0.1:")
        assert found["its workers"].verdict is Verdict.OK
        program.process.send_signal(signal.SIGSTOP)
        threads = Path(f"/proc/{program.process.pid}/task")
        until(
            lambda: all(" T " in (one / "stat").read_text() for one in threads.iterdir()), what="every thread to stand"
        )
        monkeypatch.setattr(running, "ANSWER_SECONDS", 0.2)
        found = {one.name: one for one in running.application(place)}
        assert found["server"].verdict is Verdict.ERROR
        program.process.send_signal(signal.SIGCONT)


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A session bus of our own, which knows of no service."""
    command = ["dbus-daemon", "--session", "--nofork", "--print-address", "--nopidfile"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        address = daemon.stdout.readline().strip()
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        monkeypatch.setenv("DISPLAY", ":99")
        yield address
        daemon.terminate()


def desk() -> dict[str, CheckResult]:
    return {one.name: one for one in desktop.desktop()}


class Service(threading.Thread):
    """A program on the bus that owns names until it is told to end."""

    def __init__(self, address: str, *names: str) -> None:
        super().__init__(daemon=True)
        self.address, self.names = address, names
        self.there, self.end = threading.Event(), threading.Event()

    def run(self) -> None:
        asyncio.run(self.serve())

    async def serve(self) -> None:
        bus = await MessageBus(self.address).connect()
        for name in self.names:
            await bus.request_name(name)
        self.there.set()
        await asyncio.to_thread(self.end.wait)
        bus.disconnect()


def test_who_shows_icons_and_notifications_is_asked_on_the_bus(bus: str) -> None:
    alone = desk()
    assert alone["tray"].verdict is Verdict.WARN
    # The service files of the machine may name a daemon that would be started.
    assert alone["notifications"].detail != "are displayed"
    service = Service(bus, TRAY_HOST, NOTIFICATIONS)
    service.start()
    assert service.there.wait(PATIENCE_SECONDS)
    served = desk()
    service.end.set()
    service.join(PATIENCE_SECONDS)
    assert (served["tray"].verdict, served["notifications"].detail) == (Verdict.OK, "are displayed")


def test_without_display_and_bus_the_desktop_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path}/nobody")
    assert {one.name: one.verdict for one in desktop.desktop()} == {
        "display": Verdict.WARN,
        "session bus": Verdict.WARN,
    }


def test_a_bus_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import socket  # noqa: PLC0415 - only here

    monkeypatch.setattr(desktop, "BUS_SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "bus"))
        silent.listen()
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path}/bus")
        assert desk()["session bus"].verdict is Verdict.WARN


def test_autostart_for_another_state_dir_is_a_warning(
    cli: Cli, state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert findings(cli("doctor", "--json"))["autostart"].detail.startswith("off")
    assert cli("autostart", "on").status == 0
    assert findings(cli("doctor", "--json"))["autostart"].detail == "on"
    assert cli("--state-dir", str(tmp_path / "another"), "autostart", "on").status == 0
    assert str(tmp_path / "another") in findings(cli("doctor", "--json"))["autostart"].detail
    assert not state_dir.exists()


def test_every_check_has_its_own_name(state_dir: Path, nas: Path) -> None:
    assert nas.is_dir()
    names = [check.name for check in checks(StateDir(state_dir), state_dir / "config.toml")]
    assert len(set(names)) == len(names)
    assert "nas" in names

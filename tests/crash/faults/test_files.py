"""What people and tools do to the files beside the database: lock, configuration, backups, the state dir itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from tests.crash.faults.faulty_program import FaultyProgram, number_of
from tests.crash.faults.shim import Call
from tests.support.program import PATIENCE_SECONDS, until

pytestmark = [pytest.mark.slow, pytest.mark.sampled]
HUGE_BYTES: Final = 64 << 20


def one_line(program: FaultyProgram, *arguments: str) -> tuple[int, str]:
    """Return exit status and the one line of a command that ends in an error."""
    answer = program.call(*arguments)
    assert (answer.stdout, answer.stderr.count("\n")) == ("", 1), answer.stderr
    return answer.returncode, answer.stderr


def directory(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(10_000))


def huge(path: Path) -> None:
    path.write_bytes(b"# nothing to see here\n" * (HUGE_BYTES // 22))


def nested(path: Path) -> None:
    path.write_text("a = " + "[" * 100_000)


def wrong_types(path: Path) -> None:
    path.write_text('quit = 5\nsync = ["fast"]\n')


def dangling(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(path.with_name("nowhere"))


@pytest.mark.parametrize("harm", [directory, dangling], ids=lambda harm: harm.__name__)
def test_a_lock_file_that_cannot_be_locked_is_one_line_that_names_it(
    program: FaultyProgram, harm: Callable[[Path], None]
) -> None:
    lock = program.state / "instance.lock"
    harm(lock)
    status, line = one_line(program, "run", "--headless")
    assert status == 1
    assert f"the lock file '{lock}' cannot be locked" in line


def test_a_lock_file_with_something_in_it_is_a_lock_file_and_keeps_its_content(program: FaultyProgram) -> None:
    lock = program.state / "instance.lock"
    garbage(lock)
    before = lock.read_bytes()
    program.start()
    assert "already running" in program.call("run", "--headless").stdout
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0
    assert lock.read_bytes() == before


@pytest.mark.parametrize("error", ["EACCES", "EROFS", "EIO", "ENOLCK"])
def test_a_lock_that_the_system_refuses_is_one_line_that_names_it(program: FaultyProgram, error: str) -> None:
    lock = program.state / "instance.lock"
    calls = Call.LOCK if error == "ENOLCK" else Call.OPEN
    with program.faults.arm(calls, lock, number_of(error)):
        status, line = one_line(program, "run", "--headless")
    assert status == 1
    assert f"the lock file '{lock}' cannot be locked" in line


def test_a_lock_file_deleted_under_the_running_program_lets_no_second_one_in(program: FaultyProgram) -> None:
    program.start()
    (program.state / "instance.lock").unlink()
    second = program.call("run", "--headless", timeout=PATIENCE_SECONDS)
    assert f"already running (pid {program.process.pid}" in second.stdout
    assert program.query("SELECT count(*), max(ended_at) FROM launches") == [(1, None)]
    assert program.call("quit").returncode == 0


@pytest.mark.parametrize("harm", [directory, garbage, huge, nested, wrong_types], ids=lambda harm: harm.__name__)
def test_a_configuration_that_cannot_be_used_refuses_the_start_and_changes_nothing_while_running(
    program: FaultyProgram, harm: Callable[[Path], None]
) -> None:
    good = program.config.read_text()
    harm(program.config)
    answer = program.call("run", "--headless")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert all(str(program.config) in line for line in answer.stderr.splitlines())
    assert len(answer.stderr) < 2000
    if program.config.is_dir():
        program.config.rmdir()
    program.config.write_text(good)
    program.start()
    harm(program.config)
    until(lambda: "the previous ones stay in effect" in program.log(), what="the line in the log")
    program.verified(program.enqueue(program.new_run()))
    if program.config.is_dir():
        program.config.rmdir()
    program.config.write_text(good)
    until(lambda: "reloaded the settings" in program.log(), what="the good settings to count")


@pytest.mark.parametrize("error", ["EIO", "EACCES", "ESTALE"])
def test_a_configuration_that_cannot_be_read_is_one_line_and_keeps_the_old_settings(
    program: FaultyProgram, error: str
) -> None:
    with program.faults.arm(Call.OPEN, program.config, number_of(error)):
        status, line = one_line(program, "run", "--headless")
        assert status == 2
        assert str(program.config) in line
    program.start()
    with program.faults.arm(Call.OPEN, program.config, number_of(error)) as fault:
        program.configure(workers=1)
        fault.has_hit()
        program.verified(program.enqueue(program.new_run()))


def test_a_configuration_that_goes_away_under_the_running_program_fails_no_job(program: FaultyProgram) -> None:
    program.start()
    good = program.config.read_text()
    program.config.unlink()
    until(lambda: "the previous ones stay in effect" in program.log(), what="the line in the log")
    program.verified(program.enqueue(program.new_run()))
    program.config.write_text(good)
    until(lambda: "reloaded the settings" in program.log(), what="the settings to count again")


def test_a_configuration_that_an_editor_has_just_emptied_fails_no_job(program: FaultyProgram) -> None:
    program.start()
    good = program.config.read_text()
    program.config.write_text("")
    job = program.enqueue(program.new_run())
    until(lambda: "the previous ones stay in effect" in program.log(), what="the line in the log")
    program.verified(job)
    program.config.write_text(good)


@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EROFS"])
def test_a_backup_that_cannot_be_written_is_one_line_and_leaves_nothing_behind(
    program: FaultyProgram, error: str
) -> None:
    program.start()
    calls = Call.OPEN if error == "EROFS" else Call.WRITE
    with program.faults.arm(calls, f"{program.state}/backups/*", number_of(error)):
        status, line = one_line(program, "db", "backup")
    assert status == 1
    assert "cannot write" in line
    assert f"'{program.state}/backups" in line
    assert list((program.state / "backups").glob("*.db*")) == []
    assert program.call("db", "backup").returncode == 0


def test_backups_in_whose_place_a_file_lies_are_one_line(program: FaultyProgram) -> None:
    program.start()
    (program.state / "backups").write_text("no folder")
    for command in (("db", "backup"), ("db", "backup", "--list")):
        status, line = one_line(program, *command)
        assert status == 1
        assert str(program.state / "backups") in line


def wrong_kinds(path: Path) -> None:
    path.write_text('{"port": "any", "pid": [], "started_at": 7, "token": null}')


def nested_json(path: Path) -> None:
    path.write_text("[" * 100_000)


@pytest.mark.parametrize("harm", [directory, garbage, nested_json, wrong_kinds], ids=lambda harm: harm.__name__)
def test_an_address_file_that_cannot_be_understood_keeps_no_command_from_working(
    program: FaultyProgram, harm: Callable[[Path], None]
) -> None:
    address = program.state / "server.json"
    harm(address)
    program.start()
    until(
        lambda: address.is_file() or "syncing continues without it" in program.log(), what="the server to stand or not"
    )
    if address.is_file():
        harm(address)
    run = program.new_run()
    assert program.call("sync", str(run)).returncode == 0
    until((program.nas / run.name).exists, what="the run to arrive")
    answer = program.call("status")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert program.call("quit").returncode == 0
    assert program.wait() == 0

"""Another NAS is mounted where the right one was: it gets nothing, and the job waits for the right one."""

from __future__ import annotations

import pytest
from tests.crash.faults.faulty_program import FaultyProgram
from tests.support.program import MIB, until

from exlab_wizard.settings import SettingsFile
from exlab_wizard.transfer.destination.marker import MARKER, create_marker

pytestmark = [pytest.mark.slow, pytest.mark.sampled]
WAITING = "SELECT state, waiting_on, attempts FROM sync_jobs WHERE id = ?"


def test_another_destination_in_the_place_of_the_right_one_gets_nothing(program: FaultyProgram) -> None:
    program.config.write_text("[sync]\nsettle_s = 0\n")
    assert program.call("destination", "add", "nas", str(program.nas), "--bandwidth", "4").returncode == 0
    assert SettingsFile(program.config).read().destinations["nas"].marker
    program.start()
    job = program.enqueue(program.new_run({"big.raw": 12 * MIB, "small.txt": 5}))
    until(lambda: program.value("SELECT bytes_done > 0 FROM sync_jobs"), what="part of it to be sent")
    right = program.home / "right"
    program.nas.rename(right)
    program.nas.mkdir()
    create_marker(program.nas, "nas")
    later = program.enqueue(program.new_run())
    for waiting in (job, later):
        until(
            lambda waiting=waiting: program.query(WAITING, waiting) == [("queued", "destination_offline", 0)],  # type: ignore[misc]
            what="the job to wait",
        )
    detail = str(program.value("SELECT error_detail FROM sync_jobs WHERE id = ?", job))
    assert f"'{program.nas}' is a different destination" in detail
    assert "Mount the right share" in detail
    assert [path.name for path in program.nas.iterdir()] == [MARKER]
    answer = program.call("destination", "test", "nas")
    assert answer.returncode == 1
    assert "is a different destination" in answer.stdout
    (program.nas / MARKER).unlink()
    program.nas.rmdir()
    right.rename(program.nas)
    program.verified(job)
    program.verified(later)
    assert program.number("SELECT bytes_resumed > 0 FROM sync_jobs WHERE id = ?", job)
    assert program.query("SELECT attempts, interruptions, crashes FROM sync_jobs WHERE id = ?", job) == [(1, 0, 0)]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\x00", b'{"id": 7}'])
def test_a_marker_that_says_nothing_is_not_the_one_that_is_asked_for(program: FaultyProgram, content: bytes) -> None:
    program.config.write_text("[sync]\nsettle_s = 0\n")
    assert program.call("destination", "add", "nas", str(program.nas)).returncode == 0
    good = (program.nas / MARKER).read_bytes()
    (program.nas / MARKER).write_bytes(content)
    assert "is a different destination" in program.call("destination", "test", "nas").stdout
    (program.nas / MARKER).write_bytes(good)
    assert program.call("destination", "test", "nas").returncode == 0

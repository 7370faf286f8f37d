"""Attempts that were cut off, and what the next one does."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.support.program import PATIENCE_SECONDS
from tests.unit.transfer.world import World

from exlab_wizard.domain.files import FileRecord, FileState
from exlab_wizard.domain.job import ErrorKind, WaitReason
from exlab_wizard.errors import ClaimLostError, StoppedError, TransferError, TransferWaitError
from exlab_wizard.transfer.copy import big_file
from exlab_wizard.transfer.copy.bandwidth import TokenBucket
from exlab_wizard.transfer.files.durability import write_all

MIB = 1 << 20


class CutError(Exception):
    """The power went off."""


def cut_after(world: World, count: int) -> None:
    """Let `count` checkpoints with rows take effect, then lose power for good."""
    left = count

    def on_checkpoint(files: Sequence[FileRecord]) -> None:
        nonlocal left
        if files:
            left -= 1
        if left < 0:
            raise CutError

    world.checkpoints.on_checkpoint = on_checkpoint


def count_writes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    written: list[int] = []

    def counting(fd: int, data: bytes | memoryview) -> None:
        write_all(fd, data)
        written.append(len(data))

    monkeypatch.setattr(big_file, "write_all", counting)
    return written


def test_power_cut_mid_file_resends_at_most_64_mib(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.big("big.dat", 112)
    written = count_writes(monkeypatch)
    cut_after(world, 3)
    with pytest.raises(CutError):
        world.sync()
    row = world.checkpoints.rows["big.dat"]
    assert row.state is FileState.PENDING
    assert row.bytes_done > 0
    assert sum(written) - row.bytes_done <= 64 * MIB
    written.clear()
    world.again()
    world.sync()
    assert sum(written) == 112 * MIB - row.bytes_done
    assert world.checkpoints.progress[0].bytes_resumed == row.bytes_done
    assert (world.final / "big.dat").read_bytes() == (world.run / "big.dat").read_bytes()
    assert world.sha256sum_passes()


def test_finished_files_are_not_sent_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exlab_wizard.transfer.copy.small_files._BATCH_SECONDS", PATIENCE_SECONDS)
    for number in range(1100):
        world.write(f"{number:04}.dat", str(number).encode())
    cut_after(world, 1)
    with pytest.raises(CutError):
        world.sync()
    done = {path for path, row in world.checkpoints.rows.items() if row.state is not FileState.PENDING}
    assert len(done) == 1000
    inodes = {path: (world.incoming / path).stat().st_ctime_ns for path in done}
    world.again()
    world.sync()
    assert {path: (world.final / path).stat().st_ctime_ns for path in done} == inodes
    assert len(list(world.final.glob("*.dat"))) == 1100


def test_edit_inside_the_sent_prefix_with_restored_time_is_noticed(world: World) -> None:
    path = world.big("big.dat", 40)
    cut_after(world, 1)
    with pytest.raises(CutError):
        world.sync()
    assert world.checkpoints.rows["big.dat"].bytes_done
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"edited")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    world.again()
    world.sync()
    assert (world.final / "big.dat").read_bytes() == path.read_bytes()


def test_damage_on_the_nas_inside_the_sent_prefix_is_found_and_the_file_sent_again(world: World) -> None:
    world.big("big.dat", 40)
    cut_after(world, 1)
    with pytest.raises(CutError):
        world.sync()
    with (world.incoming / "big.dat").open("r+b") as file:
        file.write(b"damage")
    world.again()
    with pytest.raises(TransferError, match=r"big.dat") as caught:
        world.sync()
    assert caught.value.kind is ErrorKind.HASH_MISMATCH
    assert world.checkpoints.rows["big.dat"].bytes_done == 0
    assert not world.final.exists()
    world.again()
    world.sync()
    assert world.sha256sum_passes()


def test_damage_to_a_small_file_on_the_nas_is_found_before_publishing(world: World) -> None:
    world.write("small.dat", b"0123456789")

    def damage(files: Sequence[FileRecord]) -> None:
        if files:
            (world.incoming / "small.dat").write_bytes(b"9876543210")

    world.checkpoints.on_checkpoint = damage
    with pytest.raises(TransferError) as caught:
        world.sync()
    assert caught.value.kind is ErrorKind.HASH_MISMATCH
    assert world.checkpoints.rows["small.dat"].state is FileState.PENDING
    assert not world.final.exists()


def test_a_file_that_changed_between_two_attempts_is_sent_again(world: World) -> None:
    changed = world.write("changed.dat", b"before")
    world.big("z.dat", 20)
    cut_after(world, 1)
    with pytest.raises(CutError):
        world.sync()
    assert world.checkpoints.rows["changed.dat"].state is FileState.COPIED
    changed.write_bytes(b"after.")
    world.again()
    world.sync()
    assert (world.final / "changed.dat").read_bytes() == b"after."
    assert world.sha256sum_passes()


def test_a_file_that_the_destination_lost_in_part_is_sent_again(world: World) -> None:
    world.big("big.dat", 40)
    cut_after(world, 1)
    with pytest.raises(CutError):
        world.sync()
    assert world.checkpoints.rows["big.dat"].bytes_done > 5
    os.truncate(world.incoming / "big.dat", 5)
    world.again()
    world.sync()
    assert world.sha256sum_passes()


def test_a_verified_file_that_the_destination_lost_in_part_is_sent_again(world: World) -> None:
    world.write("small.dat", b"0123456789")
    world.big("z.dat", 40)
    cut_after(world, 2)
    with pytest.raises(CutError):
        world.sync()
    row = world.checkpoints.rows["small.dat"]
    world.checkpoints.rows["small.dat"] = replace(row, state=FileState.VERIFIED)
    os.truncate(world.incoming / "small.dat", 5)
    world.again()
    world.sync()
    assert "small.dat" in world.checkpoints.put
    assert world.sha256sum_passes()


def test_copied_but_unread_file_is_read_back_by_the_next_attempt(world: World) -> None:
    world.big("big.dat", 20)

    def stop(files: Sequence[FileRecord]) -> None:
        if any(row.state is FileState.COPIED for row in files):
            world.control.request_stop("quit")

    world.checkpoints.after_checkpoint = stop
    with pytest.raises(StoppedError):
        world.sync()
    assert world.checkpoints.rows["big.dat"].state is FileState.COPIED
    with (world.incoming / "big.dat").open("r+b") as file:
        file.write(b"damage")
    world.again()
    with pytest.raises(TransferError) as caught:
        world.sync()
    assert caught.value.kind is ErrorKind.HASH_MISMATCH


def test_files_that_left_the_run_leave_the_incoming_folder_too(world: World) -> None:
    world.write("gone/first.dat")
    world.write("stays.dat")
    world.big("z.dat", 20)
    cut_after(world, 2)
    with pytest.raises(CutError):
        world.sync()
    (world.run / "gone/first.dat").unlink()
    (world.run / "gone").rmdir()
    (world.incoming / "stranger").mkdir()
    (world.incoming / "stranger" / "junk").write_bytes(b"?")
    world.again()
    world.sync()
    assert sorted(path.name for path in world.final.iterdir()) == [".exlab-wizard", "stays.dat", "z.dat"]
    assert "gone/first.dat" not in world.checkpoints.rows


@pytest.mark.parametrize("mib", [4, 40])
def test_stop_at_a_bandwidth_limit_lets_little_more_pass_and_is_noted(world: World, mib: int) -> None:
    world.big("file.dat", mib)
    world.limiter = TokenBucket(lambda: 1 * MIB)
    moved = threading.Event()
    seen = world.control.moved

    def moving(size: int) -> None:
        seen(size)
        if world.control.bytes_moved >= MIB:
            moved.set()

    world.control.moved = moving  # type: ignore[method-assign]

    def sync() -> None:
        with pytest.raises(StoppedError, match="quit"):
            world.sync()

    thread = threading.Thread(target=sync)
    thread.start()
    assert moved.wait(PATIENCE_SECONDS)
    world.control.request_stop("quit")
    at_the_stop = world.control.bytes_moved
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
    assert world.control.bytes_moved - at_the_stop <= MIB, "more than a second's worth"
    if mib == 40:
        row = world.checkpoints.rows["file.dat"]
        assert row.bytes_done >= MIB // 2
        assert row.prefix_sha256


def test_lost_claim_stops_at_once_and_publishes_nothing(world: World) -> None:
    world.big("big.dat", 40)
    world.write("small.dat")

    def lose(_files: Sequence[FileRecord]) -> None:
        raise ClaimLostError

    world.checkpoints.on_checkpoint = lose
    with pytest.raises(ClaimLostError):
        world.sync()
    assert not world.final.exists()
    assert all(row.state is FileState.PENDING for row in world.checkpoints.rows.values())


def test_file_that_grows_while_it_is_read_defers_the_run(world: World) -> None:
    path = world.big("growing.dat", 40)

    def grow(files: Sequence[FileRecord]) -> None:
        if files:
            with path.open("ab") as file:
                file.write(b"more")

    world.checkpoints.after_checkpoint = grow
    with pytest.raises(TransferWaitError) as caught:
        world.sync()
    assert caught.value.reason is WaitReason.SOURCE_CHANGING
    assert not world.final.exists()
    world.again()
    world.sync()
    assert world.sha256sum_passes()


def test_file_that_appears_after_the_scan_defers_the_run(world: World) -> None:
    world.write("first.dat")
    world.checkpoints.after_checkpoint = lambda _files: (world.write("second.dat"), None)[1]
    with pytest.raises(TransferWaitError, match=r"second\.dat") as caught:
        world.sync()
    assert caught.value.reason is WaitReason.SOURCE_CHANGING
    assert not world.final.exists()


def test_progress_never_counts_what_is_not_durable_and_ends_complete(world: World) -> None:
    world.big("big.dat", 30)
    world.write("small.dat")
    world.sync()
    done = [step.bytes_done for step in world.checkpoints.progress]
    assert done == sorted(done)
    last = world.checkpoints.progress[-1]
    assert (last.files_done, last.bytes_done) == (last.files_total, last.bytes_total) == (2, 30 * MIB + 4)
    assert last.bytes_verified == last.bytes_total
    assert world.checkpoints.sent

"""The destination is away, full, read-only, or has something of that name already."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.transfer.world import World

from exlab_wizard.domain.files import FileRecord, FileState
from exlab_wizard.domain.job import ErrorKind, WaitReason
from exlab_wizard.errors import TransferError, TransferWaitError
from exlab_wizard.transfer import walk
from exlab_wizard.transfer.copy import big_file, small_files
from exlab_wizard.transfer.destination.marker import MARKER, create_marker, probe
from exlab_wizard.transfer.destination.publish import make_folders, publish_file, publish_whole
from exlab_wizard.transfer.failures import FailureClassifier
from exlab_wizard.transfer.files.tree import Tree
from exlab_wizard.transfer.source.manifest import CHECKSUMS, RECEIPT
from exlab_wizard.transfer.source.run_path import checked_run
from exlab_wizard.transfer.walk import MountTransfer


def failing_write(number: int) -> object:
    def write(_fd: int, _data: object) -> None:
        raise OSError(number, os.strerror(number))

    return write


def test_unmounted_share_is_offline_and_its_empty_mount_point_stays_empty(world: World) -> None:
    world.write("a.dat")
    (world.nas / MARKER).unlink()
    with pytest.raises(TransferWaitError, match="offline") as caught:
        world.sync()
    assert caught.value.reason is WaitReason.DESTINATION_OFFLINE
    assert list(world.nas.iterdir()) == []


@pytest.mark.parametrize("step", ["is_known_run", "check_unchanged"], ids=["before copying", "before publishing"])
def test_share_that_vanishes_just_before_a_folder_is_made_leaves_its_mount_point_empty(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    world.write("a.dat")
    real: Callable[..., object] = getattr(walk, step)

    def unmounting(*arguments: object) -> object:
        answer = real(*arguments)
        world.nas.rename(world.home / "away")
        world.nas.mkdir()
        return answer

    monkeypatch.setattr(walk, step, unmounting)
    with pytest.raises(TransferWaitError, match="offline"):
        world.sync()
    assert list(world.nas.iterdir()) == []


@pytest.mark.parametrize("mib", [1, 40])
def test_share_that_vanishes_mid_copy_is_offline_not_an_error(world: World, mib: int) -> None:
    world.big("a.dat", mib)

    def unmount(_files: Sequence[FileRecord]) -> None:
        if world.nas.exists():
            world.nas.rename(world.home / "away")

    world.checkpoints.after_checkpoint = unmount
    with pytest.raises(TransferWaitError) as caught:
        world.sync()
    assert caught.value.reason is WaitReason.DESTINATION_OFFLINE
    (world.home / "away").rename(world.nas)
    world.again()
    world.sync()
    assert world.sha256sum_passes()


@pytest.mark.parametrize("mib", [1, 20])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_destination_waits_and_publishes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, mib: int, number: int
) -> None:
    world.big("a.dat", mib)
    for module in (small_files, big_file):
        monkeypatch.setattr(module, "write_all", failing_write(number))
    with pytest.raises(TransferWaitError) as caught:
        world.sync()
    assert caught.value.reason is WaitReason.DESTINATION_FULL
    assert not world.final.exists()


def test_too_little_free_space_is_said_with_both_numbers_before_copying(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write("a.dat", b"x" * 5000)
    usage = type("Usage", (), {"total": 10**6, "used": 10**6, "free": 1234})
    monkeypatch.setattr("exlab_wizard.transfer.copy.plan.shutil.disk_usage", lambda _path: usage)
    with pytest.raises(TransferWaitError, match=r"4.9 KiB .* 1.2 KiB") as caught:
        world.sync()
    assert caught.value.reason is WaitReason.DESTINATION_FULL


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EACCES, ErrorKind.AUTH),
        (errno.EROFS, ErrorKind.AUTH),
        (errno.EIO, ErrorKind.NETWORK),
        (errno.ESTALE, ErrorKind.NETWORK),
        (errno.ETIMEDOUT, ErrorKind.NETWORK),
        (errno.ENAMETOOLONG, ErrorKind.CONFIG),
        (errno.EFBIG, ErrorKind.CONFIG),
        (errno.EMFILE, ErrorKind.UNKNOWN),
    ],
)
def test_each_error_of_the_destination_has_its_kind(
    world: World, monkeypatch: pytest.MonkeyPatch, number: int, kind: ErrorKind
) -> None:
    world.write("sub/a.dat")
    monkeypatch.setattr(small_files, "write_all", failing_write(number))
    with pytest.raises(TransferError, match=r"a\.dat") as caught:
        world.sync()
    assert caught.value.kind is kind


def test_each_error_of_the_source_blames_the_source(world: World) -> None:
    failures = FailureClassifier(world.run, world.nas, check_online=lambda: probe(world.nas))

    def kind(number: int) -> ErrorKind | WaitReason:
        error = failures.of_source("Cannot read", "a.dat", OSError(number, "x"))
        assert isinstance(error, TransferError | TransferWaitError)
        return error.kind if isinstance(error, TransferError) else error.reason

    assert kind(errno.EACCES) is ErrorKind.CONFIG
    assert kind(errno.ENAMETOOLONG) is ErrorKind.CONFIG
    assert kind(errno.EIO) is ErrorKind.UNKNOWN
    assert kind(errno.ENOENT) is WaitReason.SOURCE_CHANGING
    world.run.rmdir()
    assert kind(errno.ENOENT) is ErrorKind.SOURCE_MISSING
    with pytest.raises(TransferError) as caught:
        world.sync()
    assert caught.value.kind is ErrorKind.SOURCE_MISSING


def test_folder_of_somebody_else_at_the_final_path_is_never_touched(world: World) -> None:
    world.write("a.dat", b"ours")
    world.final.mkdir(parents=True)
    (world.final / "a.dat").write_bytes(b"theirs")
    with pytest.raises(TransferError, match="no receipt") as caught:
        world.sync()
    assert caught.value.kind is ErrorKind.CONFLICT
    assert [path.read_bytes() for path in world.final.iterdir()] == [b"theirs"]


def test_runs_of_two_workstations_never_mix(world: World) -> None:
    world.write("a.dat")
    world.sync()
    world.next_job()
    world.host = "lab-2"
    with pytest.raises(TransferError, match=r"'lab-1'.*'lab-2'") as caught:
        world.sync()
    assert caught.value.kind is ErrorKind.CONFLICT


def test_empty_folder_at_the_final_path_counts_as_free(world: World) -> None:
    world.write("a.dat")
    world.final.mkdir(parents=True)
    world.sync()
    assert world.sha256sum_passes()


def test_more_files_for_a_known_run_are_added_and_the_old_ones_stay(world: World) -> None:
    world.write("a.dat")
    world.write("left.dat", b"left")
    world.sync()
    before = (world.final / "a.dat").stat().st_ino
    world.next_job()
    (world.run / "left.dat").unlink()
    world.write("new/b.dat", b"new")
    if os.name != "nt":
        (world.run / "link").symlink_to("a.dat")
    world.sync()
    assert (world.final / "a.dat").stat().st_ino == before
    assert (world.final / "new/b.dat").read_bytes() == b"new"
    assert world.sha256sum_passes()
    assert b"left.dat" in (world.final / ".exlab-wizard/checksums.sha256").read_bytes()
    assert json.loads((world.final / RECEIPT).read_text())["job_key"] == world.job_key
    assert not (world.nas / ".exlab-incoming").exists()
    assert "a.dat" not in world.checkpoints.put


def test_merging_without_hard_links_still_never_replaces(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("a.dat")
    world.sync()
    world.next_job()
    world.write("b.dat", b"new")

    def refuse(*_args: object, **_keywords: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr("exlab_wizard.transfer.files.tree.os.link", refuse)
    world.sync()
    assert world.sha256sum_passes()


def test_changed_file_of_a_published_run_is_a_conflict_and_nothing_changes(world: World) -> None:
    world.write("a.dat", b"one")
    world.sync()
    world.next_job()
    world.write("a.dat", b"two")
    with pytest.raises(TransferError, match=r"a\.dat") as caught:
        world.sync()
    assert caught.value.kind is ErrorKind.CONFLICT
    assert (world.final / "a.dat").read_bytes() == b"one"


def test_crash_between_publishing_and_the_note_publishes_exactly_once(world: World) -> None:
    world.write("a.dat")
    world.sync()
    published = world.final.stat().st_ino
    world.again()
    world.sync()
    assert world.final.stat().st_ino == published
    assert world.checkpoints.progress == []


def test_crash_just_before_the_rename_needs_no_byte_sent_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.big("a.dat", 20)

    class CrashError(Exception):
        """The power went off."""

    def crash(*_args: object) -> None:
        raise CrashError

    with monkeypatch.context() as patch:
        patch.setattr("exlab_wizard.transfer.destination.publish.publish_whole", crash)
        with pytest.raises(CrashError):
            world.sync()
    assert all(row.state is FileState.VERIFIED for row in world.checkpoints.rows.values())
    assert not world.final.exists()
    world.again()
    world.sync()
    assert world.checkpoints.put == []
    assert world.sha256sum_passes()


def test_share_that_is_replaced_just_before_the_rename_gets_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write("a.dat")

    def unmount(destination: Path, parts: tuple[str, ...], failures: FailureClassifier) -> Path:
        folder = make_folders(destination, parts, failures)
        if folder == world.final.parent:
            (world.nas / MARKER).unlink()
        return folder

    monkeypatch.setattr("exlab_wizard.transfer.destination.publish.make_folders", unmount)
    with pytest.raises(TransferWaitError, match="offline"):
        world.sync()
    assert not world.final.exists()


def test_final_path_that_appears_at_the_last_moment_is_not_replaced(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write("a.dat")

    def intrude(incoming: Path, final: Path, destination: Path, failures: FailureClassifier) -> None:
        final.mkdir()
        (final / "theirs").write_bytes(b"theirs")
        publish_whole(incoming, final, destination, failures)

    monkeypatch.setattr("exlab_wizard.transfer.destination.publish.publish_whole", intrude)
    with pytest.raises(TransferError) as caught:
        world.sync()
    assert caught.value.kind is ErrorKind.CONFLICT
    assert [path.name for path in world.final.iterdir()] == ["theirs"]


def test_nothing_stands_at_the_final_path_before_every_row_is_verified(world: World) -> None:
    world.big("a.dat", 20)
    world.write("b.dat")
    world.checkpoints.on_checkpoint = lambda _files: pytest.fail("visible too early") if world.final.exists() else None
    world.sync()
    assert all(row.state is FileState.VERIFIED for row in world.checkpoints.rows.values())


@pytest.mark.parametrize("parts", [(), ("..", "x"), ("a", ""), (".exlab-incoming",), ("a/b",)])
def test_final_path_outside_the_destination_is_refused(world: World, parts: tuple[str, ...]) -> None:
    request = replace(world.request(), final_parts=parts)
    with pytest.raises(TransferError) as caught:
        MountTransfer(request, world.checkpoints, world.control, world.limiter).run()
    assert caught.value.kind is ErrorKind.CONFIG


def test_marker_is_written_once_and_names_its_destination(world: World) -> None:
    first = json.loads((world.nas / MARKER).read_text())
    create_marker(world.nas, "other")
    assert json.loads((world.nas / MARKER).read_text()) == first
    assert first["name"] == "nas"
    assert set(first) == {"name", "created_at", "id"}
    probe(world.nas)
    with pytest.raises(TransferError, match="missing"):
        create_marker(world.home / "missing", "x")


def test_run_paths_that_cannot_be_meant_are_refused_with_a_remedy(world: World) -> None:
    here, state_dir = {"nas": world.nas}, world.home / "state"
    assert checked_run(str(world.run), here, state_dir) == str(world.run)
    inside = world.nas / "inside"
    inside.mkdir()
    (world.home / "alias").symlink_to(inside, target_is_directory=True)
    for path, kind in [
        (world.run / "none", ErrorKind.SOURCE_MISSING),
        (world.write("file"), ErrorKind.CONFIG),
        (inside, ErrorKind.CONFIG),
        (world.nas, ErrorKind.CONFIG),
        (world.home, ErrorKind.CONFIG),
        (world.home / "alias", ErrorKind.CONFIG),
        (Path("a\0b"), ErrorKind.CONFIG),
    ]:
        with pytest.raises(TransferError) as caught:
            checked_run(str(path), here, state_dir)
        assert caught.value.kind is kind
        assert "\n" not in str(caught.value)


def test_crash_in_the_middle_of_adding_files_adds_the_rest_next_time_and_lists_all_that_stands_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write("a.dat")
    world.sync()
    world.next_job()
    for number in range(4):
        world.write(f"new{number}.dat", str(number).encode())

    class CrashError(Exception):
        """The power went off."""

    def crash(incoming: Tree, final: Tree, path: str, failures: FailureClassifier) -> None:
        if path == "new2.dat":
            raise CrashError
        publish_file(incoming, final, path, failures)

    with monkeypatch.context() as patch:
        patch.setattr("exlab_wizard.transfer.destination.publish.publish_file", crash)
        with pytest.raises(CrashError):
            world.sync()
    assert (world.final / "new1.dat").exists()
    assert not (world.final / "new3.dat").exists()
    world.again()
    (world.run / "new0.dat").rename(world.run / "renamed.dat")
    world.sync()
    assert set(world.checkpoints.put) == {"renamed.dat"}
    standing = {path.name for path in world.final.iterdir() if path.is_file()}
    assert standing == set(re.findall(r"  (.*)", (world.final / CHECKSUMS).read_text("ascii")))
    assert world.sha256sum_passes()
    assert not (world.nas / ".exlab-incoming").exists()


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_run_folder_with_a_name_that_is_no_text_is_known_again(world: World) -> None:
    world.run = world.home / os.fsdecode(b"run\xff")
    world.run.mkdir()
    world.write("a.dat")
    world.sync()
    world.next_job()
    world.write("b.dat")
    world.sync()
    assert world.sha256sum_passes()

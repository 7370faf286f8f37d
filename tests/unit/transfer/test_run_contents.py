"""What instruments and people put into runs."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import sys
from pathlib import Path

import pytest
from tests.unit.transfer.world import World

from exlab_wizard.domain.files import FileState
from exlab_wizard.domain.job import ErrorKind, WaitReason
from exlab_wizard.errors import TransferError, TransferWaitError
from exlab_wizard.transfer.files import durability
from exlab_wizard.transfer.files import tree as tree_module
from exlab_wizard.transfer.files.tree import Tree
from exlab_wizard.transfer.source import names
from exlab_wizard.transfer.source.manifest import CHECKSUMS, RECEIPT

posix = pytest.mark.skipif(os.name == "nt", reason="names and files that only POSIX systems know")
linux = pytest.mark.skipif(sys.platform != "linux", reason="names are bytes, and sha256sum is at hand")


@linux
def test_odd_names_arrive_and_sha256sum_accepts_them(world: World) -> None:
    odd = ["with space", "-leading", "-", "new\nline", "back\\slash", "cr\rhere", "x" * 255, " lead", "*star", "q\\nz"]
    odd += ["tab\tname", "quote'\"", "ünïcode", os.fsdecode(b"latin\xe9.dat"), "CON", "trailing.", "a:b"]
    for name in odd:
        world.write(f"folder/{name}", name.encode("utf-8", "surrogateescape"))
        world.write(name, b"at the root")
    world.sync()
    assert {path.name for path in (world.final / "folder").iterdir()} == set(odd)
    assert world.sha256sum_passes()
    assert (world.final / "folder" / odd[-4]).read_bytes() == b"latin\xe9.dat"


def test_empty_files_and_folders_keep_times_and_permissions(world: World) -> None:
    world.write("empty.dat", b"")
    (world.run / "hollow" / "below").mkdir(parents=True)
    kept = world.write("kept.dat")
    kept.chmod(0o440)
    for path in (kept, world.run / "hollow", world.run):
        os.utime(path, ns=(1_500_000_000_123_456_700, 1_500_000_000_123_456_700))
    world.sync()
    assert (world.final / "empty.dat").read_bytes() == b""
    assert (world.final / "hollow" / "below").is_dir()
    for path in (world.final / "kept.dat", world.final / "hollow", world.final):
        assert path.stat().st_mtime_ns == 1_500_000_000_123_456_700
    if os.name != "nt":
        assert stat.S_IMODE((world.final / "kept.dat").stat().st_mode) == 0o440


def test_a_run_with_nothing_in_it_is_published(world: World) -> None:
    world.sync()
    assert (world.final / CHECKSUMS).read_bytes() == b""
    assert not (world.nas / ".exlab-incoming").exists()


@posix
def test_symlinks_arrive_as_symlinks_wherever_they_point(world: World) -> None:
    world.write("folder/file")
    links = {"dangling": "nowhere", "absolute": "/etc/hostname", "loop": "loop", "dir": "folder", "up": "../.."}
    for name, target in links.items():
        (world.run / name).symlink_to(target)
    world.sync()
    assert {name: str((world.final / name).readlink()) for name in links} == links
    assert json.loads((world.final / RECEIPT).read_text())["symlinks"] == 5


@posix
def test_symlinks_that_are_added_to_a_published_run_keep_their_times(world: World) -> None:
    world.write("a.dat")
    world.sync()
    world.next_job()
    (world.run / "link").symlink_to("a.dat")
    os.utime(world.run / "link", ns=(10**18, 10**18), follow_symlinks=False)
    world.sync()
    assert (world.final / "link").lstat().st_mtime_ns == 10**18


@posix
def test_a_symlink_that_a_killed_attempt_has_made_gets_its_time_all_the_same(world: World) -> None:
    (world.run / "link").symlink_to("a.dat")
    os.utime(world.run / "link", ns=(10**18, 10**18), follow_symlinks=False)
    world.incoming.mkdir(parents=True)
    (world.incoming / "link").symlink_to("a.dat")
    world.sync()
    assert (world.final / "link").lstat().st_mtime_ns == 10**18


@posix
def test_fifo_and_socket_are_named_before_anything_is_copied(world: World) -> None:
    world.write("good.dat")
    os.mkfifo(world.run / "pipe")
    with socket.socket(socket.AF_UNIX) as door:
        here = Path.cwd()
        os.chdir(world.run)
        try:
            door.bind("door")
        finally:
            os.chdir(here)
        with pytest.raises(TransferError, match=r"'door' \(socket\), 'pipe' \(FIFO\)") as caught:
            world.sync()
    assert caught.value.kind is ErrorKind.CONFIG
    assert not world.incoming.exists()


def test_unreadable_file_is_named_and_is_no_authentication_failure(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write("secret.dat").chmod(0o200)
    monkeypatch.setattr(Tree, "readable", lambda _tree, _name: False)
    with pytest.raises(TransferError, match=r"'secret.dat' \(not readable\)") as caught:
        world.sync()
    assert caught.value.kind is ErrorKind.CONFIG


@posix
@pytest.mark.parametrize("length", [8, 60])
def test_two_hundred_levels_arrive_even_beyond_the_longest_path(world: World, length: int) -> None:
    part = "d" * length
    with Tree(world.run) as tree:
        path = part
        tree.mkdir(path)
        for _ in range(199):
            path += f"/{part}"
            tree.mkdir(path)
        fd = tree.open(f"{path}/leaf.dat", os.O_WRONLY | os.O_CREAT)
        os.write(fd, b"deep")
        os.close(fd)
    world.sync()
    with Tree(world.final) as tree:
        assert tree.lstat(f"{path}/leaf.dat").st_size == 4
    if length == 60:  # pytest cannot clean up beyond the longest path
        shutil.rmtree(world.run)
        shutil.rmtree(world.final)


def test_our_own_files_of_an_earlier_copy_are_replaced_not_copied(world: World) -> None:
    world.write(CHECKSUMS, b"old")
    world.write(".exlab-wizard/notes.txt", b"kept")
    world.sync()
    receipt = json.loads((world.final / RECEIPT).read_text())
    assert receipt["skipped"] == [CHECKSUMS]
    assert receipt["files"] == 1
    assert (world.final / ".exlab-wizard/notes.txt").read_bytes() == b"kept"
    assert (world.final / CHECKSUMS).read_bytes() != b"old"


def test_hard_linked_files_are_just_copied(world: World) -> None:
    os.link(world.write("one"), world.run / "two")
    world.sync()
    assert (world.final / "two").read_bytes() == b"data"


def test_file_younger_than_the_settle_time_defers_the_run(world: World) -> None:
    world.write("growing.dat")
    world.settle_s = 60
    with pytest.raises(TransferWaitError, match=r"growing\.dat") as caught:
        world.sync()
    assert caught.value.reason is WaitReason.SOURCE_CHANGING
    ahead = 4_000_000_000
    os.utime(world.run / "growing.dat", (ahead, ahead))
    world.sync()


def test_names_that_a_share_cannot_take_are_reported_before_copying(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(7):
        world.write(f"scan?{number}.dat")
    monkeypatch.setattr(names, "_takes", lambda _tree, name: "?" not in name)
    with pytest.raises(TransferError, match=r"'scan\?0.dat'.* and 2 more") as caught:
        world.sync()
    assert caught.value.kind is ErrorKind.CONFIG
    assert list(world.incoming.iterdir()) == []
    assert world.checkpoints.rows == {}


@linux
def test_names_that_differ_in_case_only_are_reported_where_case_is_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write("Scan.dat")
    world.write("scan.dat")
    monkeypatch.setattr(names, "_ignores_case", lambda _tree: True)
    with pytest.raises(TransferError, match="upper and lower case"):
        world.sync()
    monkeypatch.undo()
    world.sync()
    assert all(row.state is FileState.VERIFIED for row in world.checkpoints.rows.values())


@pytest.mark.parametrize("missing", ["syncfs", "folder descriptors"])
def test_system_without_linux_calls_copies_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    if missing == "syncfs":
        monkeypatch.setattr(durability, "_LIBC", None)
    else:
        monkeypatch.setattr(tree_module, "DESCRIPTORS", False)
    world.write("folder/a.dat")
    world.big("big.dat", 10)
    if os.name != "nt":
        (world.run / "link").symlink_to("folder/a.dat")
    world.sync()
    assert world.sha256sum_passes()
    world.next_job()
    world.write("folder/b.dat", b"more")
    world.sync()
    assert world.sha256sum_passes()

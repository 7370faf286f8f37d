"""The recorder writes everything down, in order, whatever thread did it; what it does not know ends the program."""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path

import pytest
from tests.crash.power_cuts.disk import Disk
from tests.crash.power_cuts.image import image_of
from tests.crash.power_cuts.record import Call, read_log
from tests.support.nursery import Nursery
from tests.support.program import PATIENCE_SECONDS

ENTRY = f"{__name__}:act"
THREADS, ROUNDS = 4, 50
UNKNOWN_CALL = 97


def act(arguments: list[str]) -> int:
    """Change files below a root while that is recorded; runs in a fork of the nursery."""
    root, log, how = Path(arguments[0]), arguments[1], arguments[2]
    ctypes.CDLL(None).power_recorder_start(os.fsencode(log), os.fsencode(root))
    if how == "unknown":
        os.writev(os.open(root / "file", os.O_WRONLY | os.O_CREAT), [b"by a call ", b"that is not recorded"])
    elif how == "die":
        (root / "file").write_bytes(b"written down")
        ctypes.CDLL(None).power_recorder_die()
    else:
        together = [threading.Thread(target=_change, args=(root, f"thread-{n}")) for n in range(THREADS)]
        for thread in together:
            thread.start()
        for thread in together:
            thread.join()
    return 0


def _change(root: Path, name: str) -> None:
    folder = root / name
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY)
    for number in range(ROUNDS):
        os.chdir(root)
        fd = os.open(f"{number}.part", os.O_RDWR | os.O_CREAT | os.O_TRUNC, dir_fd=descriptor)
        os.write(fd, name.encode() * number)
        os.pwrite(fd, b"in the middle", number)
        os.ftruncate(fd, 2 * number + 3)
        os.fsync(fd)
        os.close(fd)
        os.rename(f"{number}.part", "../shared", src_dir_fd=descriptor, dst_dir_fd=descriptor)
        (folder / "again").write_bytes(b"short")
        with (folder / "again").open("ab") as file:
            file.write(b", and longer")
    (folder / "link").symlink_to("again")
    (folder / "hard").hardlink_to(folder / "again")
    (folder / "again").unlink()
    (folder / "below").mkdir()
    (folder / "below").rmdir()
    os.fdatasync(descriptor)


def recorded(nursery: Nursery, root: Path, how: str) -> tuple[int, Path]:
    """Return how the act ended, and its log."""
    log = root.parent / "record"
    child = nursery.start(
        [str(root), str(log), how],
        entry=ENTRY,
        environment={"PATH": os.defpath},
        folder=root.parent,
        stdout=root.parent / "stdout",
        stderr=root.parent / "stderr",
    )
    return child.wait(PATIENCE_SECONDS), log


@pytest.fixture
def root(home: Path) -> Path:
    root = home / "root"
    root.mkdir()
    return root


def test_the_record_of_many_threads_played_ends_in_what_is_really_there(nursery: Nursery, root: Path) -> None:
    disk = Disk([root])
    status, log = recorded(nursery, root, "all")
    assert status == 0
    records = read_log(log)
    for record in records:
        disk.play(record)
    bare = {path: (node.kind, node.content, node.target) for path, node in disk.seen().items()}
    assert bare == {path: (node.kind, node.content, node.target) for path, node in image_of([root]).items()}
    renamed = [record for record in records if record.call is Call.RENAME]
    assert len(renamed) == THREADS * ROUNDS


def test_a_call_that_the_recorder_does_not_know_ends_the_program(nursery: Nursery, root: Path) -> None:
    assert recorded(nursery, root, "unknown")[0] == UNKNOWN_CALL


def test_dying_leaves_no_half_record_and_half_a_record_is_refused(nursery: Nursery, root: Path) -> None:
    status, log = recorded(nursery, root, "die")
    assert status == -9
    assert [record.call for record in read_log(log)] == [Call.CREATE, Call.WRITE]
    log.write_bytes(log.read_bytes()[:-1])
    with pytest.raises(AssertionError, match="middle of a record"):
        read_log(log)

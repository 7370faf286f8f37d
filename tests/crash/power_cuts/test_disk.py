"""The disk that is thought of: each rule by the accident that it allows, and the sync that makes it impossible."""

from __future__ import annotations

import itertools
import os
import stat
from pathlib import Path

import pytest
from tests.crash.power_cuts.disk import PAGE, SECTOR, Disk
from tests.crash.power_cuts.image import Image, image_of, lay_out
from tests.crash.power_cuts.record import Call, Record

OLD = b"old" * 100
NEW = bytes(range(256)) * 64
BEGUN = 12
"""The first number of an inode that is made here: the folders have the kernel's, which are far greater."""


class Bench:
    """One root with a folder, and calls on it as the recorder writes them down."""

    def __init__(self, home: Path) -> None:
        self.root = home / "root"
        self.folder = self.root / "folder"
        self.folder.mkdir(parents=True)
        (self.folder / "config").write_bytes(OLD)
        self._inodes = {"": self.folder.stat().st_ino, "config": (self.folder / "config").stat().st_ino}
        self._next = itertools.count(BEGUN)
        self.disk = Disk([self.root])

    def make(self, call: Call, name: str, other: str = "") -> None:
        inode = self._inodes[name] = next(self._next)
        self.disk.play(Record(call, inode, path=str(self.folder / name), other=other, mode=0o600))

    def write(self, name: str, data: bytes, offset: int = 0) -> None:
        self.disk.play(Record(Call.WRITE, self._inodes[name], offset, data=data))

    def truncate(self, name: str, size: int) -> None:
        self.disk.play(Record(Call.TRUNCATE, self._inodes[name], size))

    def on(self, call: Call, name: str, other: str = "") -> None:
        """Do something to names; inodes keep the name under which they were made here."""
        self.disk.play(Record(call, path=str(self.folder / name), other=str(self.folder / other) if other else ""))

    def sync(self, name: str = "", call: Call = Call.FSYNC) -> None:
        self.disk.play(Record(call, self._inodes[name]))

    def sync_all(self) -> None:
        self.disk.play(Record(Call.SYNCFS, path=str(self.folder)))

    def left(self, *kept: int) -> dict[str, bytes | None]:
        """Return what is left when only the pending changes at these places in their order were kept."""
        numbers = list(self.disk.pending)
        return self._plain(self.disk.after_cut([numbers[place] for place in kept]))

    def every(self) -> list[dict[str, bytes | None]]:
        """Return every state that may be left."""
        places = range(len(self.disk.pending))
        return [self.left(*kept) for size in range(len(places) + 1) for kept in itertools.combinations(places, size)]

    def _plain(self, image: Image) -> dict[str, bytes | None]:
        found = {Path(path).relative_to(self.root): node for path, node in image.items()}
        return {
            str(path.relative_to("folder")): node.content.data if node.content else None
            for path, node in found.items()
            if path != Path("folder")
        }


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def replace_config(bench: Bench, *, sync_file: bool, sync_folder: bool) -> None:
    """Write a file beside, and rename it over the old one."""
    bench.make(Call.CREATE, "part")
    bench.write("part", b"new")
    if sync_file:
        bench.sync("part")
    bench.on(Call.RENAME, "part", "config")
    if sync_folder:
        bench.sync()


def test_renamed_without_a_sync_of_the_file_the_good_file_may_have_become_empty(bench: Bench) -> None:
    replace_config(bench, sync_file=False, sync_folder=True)
    assert {"config": b""} in bench.every()


def test_synced_before_the_rename_the_file_is_the_old_one_or_the_new_one(bench: Bench) -> None:
    replace_config(bench, sync_file=True, sync_folder=False)
    configs = [state["config"] for state in bench.every()]
    assert set(configs) == {OLD, b"new"}


def test_synced_with_its_folder_the_new_file_is_there_for_good(bench: Bench) -> None:
    replace_config(bench, sync_file=True, sync_folder=True)
    assert bench.every() == [{"config": b"new"}]


def test_a_file_that_was_synced_is_gone_when_its_folder_was_not(bench: Bench) -> None:
    bench.make(Call.CREATE, "run.raw")
    bench.write("run.raw", NEW)
    bench.sync("run.raw")
    assert bench.every() == [{"config": OLD}, {"config": OLD, "run.raw": NEW}]
    bench.sync()
    assert bench.every() == [{"config": OLD, "run.raw": NEW}]


def test_later_writes_may_arrive_without_earlier_ones_and_the_gap_reads_as_zeros(bench: Bench) -> None:
    bench.make(Call.CREATE, "log")
    bench.sync()
    bench.write("log", b"a" * PAGE)
    bench.write("log", b"b" * PAGE, PAGE)
    found = {state["log"] for state in bench.every()}
    assert bytes(PAGE) + b"b" * PAGE in found
    assert bytes(2 * PAGE) in found, "grown, and none of its bytes written"
    assert b"a" * PAGE in found


def test_a_write_is_torn_at_pages_and_in_the_database_at_sectors(bench: Bench) -> None:
    for name, grain in (("run.raw", PAGE), ("exlab-wizard.db", SECTOR)):
        bench.make(Call.CREATE, name)
        bench.sync()
        bench.write(name, NEW[: 2 * PAGE], 100)
        pieces = [change.effect for change in bench.disk.pending.values() if change.is_data]
        assert len(pieces) == 2 * PAGE // grain + 1
        bench.sync(name)
        assert bench.left()[name] == bytes(100) + NEW[: 2 * PAGE]


def test_what_one_page_loses_does_not_touch_what_was_durable_in_it(bench: Bench) -> None:
    bench.make(Call.CREATE, "log")
    bench.write("log", b"first")
    bench.sync("log")
    bench.sync()
    bench.write("log", b"second", 5)
    assert all(str(state["log"]).startswith("b'first") for state in bench.every())


def test_fdatasync_keeps_bytes_and_length_and_not_the_times(bench: Bench) -> None:
    bench.make(Call.CREATE, "run.raw")
    bench.sync()
    bench.write("run.raw", NEW)
    bench.disk.play(Record(Call.META, BEGUN, 17, 0o640))
    bench.sync("run.raw", Call.FDATASYNC)
    nothing = bench.disk.after_cut(())[str(bench.folder / "run.raw")]
    assert (nothing.content and nothing.content.data, nothing.mode, nothing.mtime_ns) == (NEW, 0o600, 0)
    bench.sync("run.raw")
    synced = bench.disk.after_cut(())[str(bench.folder / "run.raw")]
    assert (synced.mode, synced.mtime_ns) == (0o640, 17)


def test_syncfs_makes_everything_durable(bench: Bench) -> None:
    bench.make(Call.MKDIR, "run")
    bench.make(Call.CREATE, "run/a")
    bench.write("run/a", b"a")
    bench.make(Call.SYMLINK, "run/link", "a")
    bench.on(Call.UNLINK, "config")
    bench.sync_all()
    assert bench.every() == [{"run": None, "run/a": b"a", "run/link": None}]


def test_another_root_is_another_file_system(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    disk = Disk([tmp_path / "one", tmp_path / "other"])
    disk.play(Record(Call.CREATE, BEGUN, path=str(tmp_path / "one" / "file")))
    disk.play(Record(Call.SYNCFS, path=str(tmp_path / "other")))
    assert disk.after_cut(()) == {}
    disk.play(Record(Call.SYNCFS, path=str(tmp_path / "one")))
    assert list(disk.after_cut(())) == [str(tmp_path / "one" / "file")]


def test_a_deleted_file_may_come_back_and_its_successor_be_the_one_that_stays(bench: Bench) -> None:
    bench.on(Call.UNLINK, "config")
    assert {"config": OLD} in bench.every()
    bench.make(Call.CREATE, "config")
    bench.sync()
    assert bench.every() == [{"config": b""}]


def test_a_rename_between_folders_is_atomic_and_durable_with_the_folder_of_the_new_name(bench: Bench) -> None:
    for name in ("from", "to"):
        bench.make(Call.MKDIR, name)
    bench.make(Call.CREATE, "from/run")
    bench.sync_all()
    bench.on(Call.RENAME, "from/run", "to/run")
    before, after = ({"config": OLD, "from": None, "to": None, path: b""} for path in ("from/run", "to/run"))
    assert bench.every() == [before, after]
    bench.sync("from")
    assert bench.every() == [before, after]
    bench.sync("to")
    assert bench.every() == [after]


def test_a_link_may_be_lost_while_the_removal_of_the_other_name_arrives(bench: Bench) -> None:
    bench.make(Call.MKDIR, "final")
    bench.sync_all()
    bench.on(Call.LINK, "config", "final/config")
    bench.on(Call.UNLINK, "config")
    assert {"final": None} in bench.every(), "the bytes are gone from both"
    bench.sync()
    assert {"final": None} in bench.every()
    bench.sync("final")
    assert bench.every() == [{"final": None, "final/config": OLD}]


def test_a_folder_does_not_go_while_it_holds_something(bench: Bench) -> None:
    bench.make(Call.MKDIR, "incoming")
    bench.make(Call.CREATE, "incoming/a")
    bench.sync_all()
    bench.on(Call.UNLINK, "incoming/a")
    bench.on(Call.RMDIR, "incoming")
    states = bench.every()
    assert {"config": OLD, "incoming": None, "incoming/a": b""} in states
    assert {"config": OLD} in states
    bench.sync()
    assert bench.every() == [{"config": OLD}]


def test_a_truncation_is_one_step_of_its_own(bench: Bench) -> None:
    bench.truncate("config", 3)
    assert bench.every() == [{"config": OLD}, {"config": b"old"}]


def test_an_inode_number_that_is_used_again_is_another_file(bench: Bench) -> None:
    bench.make(Call.CREATE, "a")
    bench.write("a", b"a")
    bench.on(Call.UNLINK, "a")
    bench.disk.play(Record(Call.CREATE, BEGUN, path=str(bench.folder / "b")))
    bench.disk.play(Record(Call.WRITE, BEGUN, data=b"b"))
    bench.sync()
    bench.disk.play(Record(Call.FSYNC, BEGUN))
    assert all(state == {"config": OLD, "b": b"b"} for state in bench.every())


def test_shared_memory_of_the_database_takes_no_part(bench: Bench) -> None:
    bench.make(Call.CREATE, "exlab-wizard.db-shm")
    bench.write("exlab-wizard.db-shm", b"x")
    bench.truncate("exlab-wizard.db-shm", 0)
    bench.sync("exlab-wizard.db-shm")
    bench.on(Call.UNLINK, "exlab-wizard.db-shm")
    assert bench.every() == [{"config": OLD}]


def test_an_image_is_laid_out_as_it_was(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "folder" / "file").write_bytes(NEW)
    (root / "folder" / "file").chmod(0o640)
    (root / "folder" / "link").symlink_to("file")
    os.utime(root / "folder", ns=(17, 17))
    before = image_of([root])
    (root / "stranger").write_bytes(b"x")
    lay_out(before, [root])
    assert image_of([root]) == before
    assert stat.S_ISLNK(before[str(root / "folder" / "link")].kind)

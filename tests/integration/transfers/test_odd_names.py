"""What instruments and people put into folders, through the whole program."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest
from tests.support.program import Program, until

pytestmark = [
    pytest.mark.on_disk,
    pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot hold these names"),
]

HOUR_AGO_NS = 1_700_000_000 * 10**9
NAMES = (
    b"with space",
    b"-rf",
    b"--",
    b"new\nline",
    b"back\\slash",
    b"back\\nslash n",
    b"carriage\rreturn",
    b"tab\tquote'\"$`*?",
    b"not \xff\xfe unicode",
    b" leading and trailing ",
    b"x" * 255,
    "μ-scope µ é é 試料".encode(),
    b"#hash",
    b"\\start",
)
LEVELS = 200


def odd_run(home: Path) -> Path:
    """Return a run of every odd thing; its own name is odd as well."""
    run = home / os.fsdecode(b"-run \xff\n1")
    run.mkdir()
    for number, name in enumerate(NAMES):
        (run / os.fsdecode(name)).write_bytes(name * number)
        folder = run / "folders" / os.fsdecode(name)
        folder.mkdir(parents=True)
        (folder / "inside").write_bytes(b"inside " + name)
    (run / "empty file").touch()
    (run / "empty folder" / "another").mkdir(parents=True)
    deep = run.joinpath(*["d"] * LEVELS)
    deep.mkdir(parents=True)
    (deep / "bottom").write_bytes(b"deep")
    (run / "dangling").symlink_to("nowhere")
    (run / "absolute").symlink_to("/etc/hostname")
    (run / "loop").symlink_to("loop")
    (run / "up").symlink_to("..")
    (run / "to odd").symlink_to(os.fsdecode(b"not \xff\xfe unicode"))
    for path in [*run.rglob("*"), run]:
        os.utime(path, ns=(HOUR_AGO_NS, HOUR_AGO_NS), follow_symlinks=False)
    return run


def picture(folder: Path) -> dict[bytes, tuple[int, int, bytes]]:
    """Return type and permissions, time and content of everything below a folder but our own notes."""
    seen: dict[bytes, tuple[int, int, bytes]] = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if name.parts[0] == ".exlab-wizard":
            continue
        status = path.lstat()
        content = b""
        if stat.S_ISLNK(status.st_mode):
            content = os.fsencode(path.readlink())
        elif stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        seen[os.fsencode(name)] = (status.st_mode, status.st_mtime_ns, content)
    return seen


def test_odd_names_links_and_depths_arrive_as_they_are(program: Program) -> None:
    run = odd_run(program.home)
    program.start()
    job = program.enqueue(run)
    until(lambda: program.job_state(job) not in ("queued", "running", "verifying"), what="the job to end")
    assert program.query("SELECT state, error_detail FROM sync_jobs") == [("verified", None)]
    before = picture(run)
    assert len(before) > 2 * len(NAMES) + LEVELS
    assert picture(program.nas / run.name) == before
    assert program.checksums_pass(run.name)


def test_a_fifo_fails_the_job_with_its_name_and_the_remedy(program: Program) -> None:
    run = program.home / "run"
    run.mkdir()
    (run / "data.bin").write_bytes(b"data")
    os.mkfifo(run / "control pipe")
    program.start()
    job = program.enqueue(run)
    until(lambda: program.job_state(job) == "failed", what="the job to fail")
    kind, detail, attempts = program.query("SELECT error_kind, error_detail, attempts FROM sync_jobs")[0]
    assert (kind, attempts) == ("config", 1)
    assert "'control pipe' (FIFO)" in str(detail)
    assert "Remove" in str(detail)
    assert not (program.nas / "run").exists()

"""The shim sees what strace sees, kills where it says, and no kill counts that it did not write down."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from tests.crash.system_calls.crash_points import Aim, Point, at, read_points
from tests.crash.system_calls.enumeration import Enumeration
from tests.crash.system_calls.scenarios import AddDestination, Enqueue, Merge
from tests.crash.system_calls.stage import Process, Stage
from tests.support.nursery import Nursery
from tests.support.program import PATIENCE_SECONDS

CALLS = (
    "write,pwrite64,writev,pwritev,pwritev2,sendfile,copy_file_range,splice,fsync,fdatasync,syncfs,sync,msync,"
    "truncate,ftruncate,fallocate,chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,utime,utimes,futimesat,utimensat,"
    "rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat,mknod,mknodat,"
    "open,openat,openat2,creat,setxattr,lsetxattr,fsetxattr,removexattr,sync_file_range,io_uring_setup"
)
HARMLESS = {
    "fchown",  # as root, SQLite gives a journal the owner that its database has: here the same
    "sync_file_range",  # asks for write-back to begin, and promises nothing
}
"""What strace sees and the shim does not count."""
TRACED = re.compile(r"^\d+ +(\w+)\((.*)")


def traced(log: Path, *roots: Path) -> Counter[str]:
    """Return how often each call was made below `roots`; opening counts where it may make or empty a file."""
    found: Counter[str] = Counter()
    for line in log.read_text("utf-8", errors="replace").splitlines():
        call = TRACED.match(line)
        if call is None or not any(str(root) in call[2] for root in roots):
            continue
        if not call[1].startswith("open") or "O_CREAT" in call[2] or "O_TRUNC" in call[2]:
            found[call[1]] += 1
    return found


@pytest.mark.slow
def test_the_shim_counts_exactly_the_calls_that_strace_counts(stage: Stage, kill_shim: Path) -> None:
    assert shutil.which("strace"), "make system-packages installs it"
    Merge().prepare(stage)  # copies, publishes with links and with a rename, recovers and quits
    points, trace, roots = stage.home / "points", stage.home / "trace", (stage.state, stage.nas)
    variables = {"LD_PRELOAD": kill_shim, "CRASH_ROOTS": "\n".join(map(str, roots)), "CRASH_LOG": points}
    loaded = [word for name, value in variables.items() for word in ("-E", f"{name}={value}")]
    command = ["strace", "-f", "-y", "-qq", "-s", "0", "-o", str(trace), "-e", f"trace={CALLS}", *loaded, "--"]
    subprocess.run(
        [*command, *stage.command("sync", str(stage.runs / "run"), "--wait")],
        env=stage.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    seen = traced(trace, *roots)
    counted = Counter(point.call for point in read_points(points))
    assert seen.keys() - counted.keys() <= HARMLESS
    assert counted == Counter({call: count for call, count in seen.items() if call not in HARMLESS})
    assert counted["linkat"] > 2
    assert counted["pwrite64"] > 100


def test_a_kill_before_a_rename_leaves_it_undone_and_a_kill_after_it_done(theatre: Path, nursery: Nursery) -> None:
    enumeration = Enumeration.of(AddDestination(), theatre / "before and after", nursery)
    (rename,) = [one for one in enumeration.points if one.call == "rename" and one.path.endswith("config.toml")]
    for after in (False, True):
        stage = enumeration.replay()
        stage.aim = at(rename, after=after)
        assert enumeration.scenario.act(stage).end() == -signal.SIGKILL
        (landed,) = stage.points()
        assert (landed.call, landed.path) == (rename.call, rename.path)
        assert ("spare" in stage.config.read_text("utf-8")) == after


def test_an_aim_that_a_replay_never_reaches_kills_at_an_earlier_point_or_is_told_and_counts_as_no_kill(
    theatre: Path, nursery: Nursery
) -> None:
    enumeration = Enumeration.of(Enqueue(), theatre / "earlier", nursery)
    never = Point(1_000_000, 0, "symlink", "/never")
    enumeration.points.append(never)
    tally = enumeration.kill_at([at(never, after=False)])
    assert (len(tally.landed), tally.beyond, tally.violations) == (1, [], [])
    tally = Enumeration.of(Enqueue(), theatre / "beyond", nursery).kill_at([Aim("symlink", "*", 1)])
    assert (tally.landed, len(tally.beyond), tally.violations) == ([], 1, [])


def test_a_death_that_the_shim_did_not_write_down_is_a_violation(theatre: Path, nursery: Nursery) -> None:
    class Murdered(Enqueue):
        """Somebody else kills it."""

        def act(self, stage: Stage) -> Process:
            process = super().act(stage) if stage.aim is None else stage.launch("run", "--headless")
            if stage.aim is not None:
                process.child.kill()
                process.end()
            return process

    tally = Enumeration.of(Murdered(), theatre / "murdered", nursery).kill_at([Aim("fsync", "*", 1)])
    assert tally.landed == []
    (violation,) = tally.violations
    assert "ended with -9" in violation

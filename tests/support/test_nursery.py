"""Every crash test believes the fork server: it tells how a child ended, and keeps nothing of the one before."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.support.nursery import Child, Nursery
from tests.support.program import PATIENCE_SECONDS, until

from exlab_wizard.cli.commands.sync import watch

SURROUNDINGS = "tests.support.test_nursery:tell_surroundings"
SLEEP = "tests.support.test_nursery:sleep_for_ever"


def tell_surroundings(arguments: list[str]) -> int:
    """Run in a child: print what it finds, and leave what the next one must not find."""
    found = {
        "arguments": arguments,
        "variables": dict(os.environ),
        "folder": str(Path.cwd()),
        "leads": os.getsid(0) == os.getpid(),
        "threads": threading.active_count(),
        "interrupt": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        "changed": watch.POLL_INTERVAL_SECONDS,
    }
    print(json.dumps(found))  # noqa: T201 - its answer
    setattr(watch, "POLL_INTERVAL_SECONDS", 4711)  # noqa: B010 - final for everybody else
    os.environ["LEFT_BEHIND"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return len(arguments)


def sleep_for_ever(_arguments: list[str]) -> int:
    """Run in a child: wait to be killed."""
    print("asleep", flush=True)  # noqa: T201 - its answer
    threading.Event().wait()
    return 0


def start(
    nursery: Nursery, home: Path, entry: str, *arguments: str, variables: Mapping[str, str] | None = None
) -> Child:
    return nursery.start(
        arguments, environment=variables or {}, folder=home, stdout=home / "out", stderr=home / "err", entry=entry
    )


def test_a_launch_of_the_nursery_is_the_real_command_line(nursery: Nursery, tmp_path: Path) -> None:
    child = nursery.start(
        ["--state-dir", str(tmp_path / "state"), "jobs"],
        environment=os.environ,
        folder=tmp_path,
        stdout=tmp_path / "out",
        stderr=tmp_path / "err",
    )
    assert child.wait(PATIENCE_SECONDS) == 1
    assert "there is no database" in (tmp_path / "err").read_text("utf-8")


def test_nothing_of_one_child_is_left_for_the_next(nursery: Nursery, tmp_path: Path) -> None:
    for number in (1, 2):
        arguments = ["a"] * number
        child = start(nursery, tmp_path, SURROUNDINGS, *arguments, variables={"NUMBER": str(number)})
        assert child.wait(PATIENCE_SECONDS) == number
        assert json.loads((tmp_path / "out").read_text("utf-8")) == {
            "arguments": arguments,
            "variables": {"NUMBER": str(number)},
            "folder": str(tmp_path),
            "leads": True,
            "threads": 1,
            "interrupt": True,
            "changed": watch.POLL_INTERVAL_SECONDS,
        }


def test_a_killed_child_is_reported_as_killed_by_that_signal(nursery: Nursery, tmp_path: Path) -> None:
    for number in (signal.SIGKILL, signal.SIGTERM):
        child = start(nursery, tmp_path, SLEEP)
        until((tmp_path / "out").read_text, what="the child to run")
        assert child.poll() is None
        child.send_signal(number)
        assert child.wait(PATIENCE_SECONDS) == -number


def test_children_run_side_by_side_and_each_gets_its_own_end(nursery: Nursery, tmp_path: Path) -> None:
    sleeping = start(nursery, tmp_path, SLEEP)
    assert start(nursery, tmp_path, SURROUNDINGS, "one").wait(PATIENCE_SECONDS) == 1
    with pytest.raises(subprocess.TimeoutExpired):
        sleeping.wait(0.0)
    sleeping.kill()
    assert sleeping.wait(PATIENCE_SECONDS) == -signal.SIGKILL
    sleeping.kill()  # reaches nobody


def test_no_child_outlives_its_nursery(tmp_path: Path) -> None:
    with Nursery(tmp_path / "log") as nursery:
        child = start(nursery, tmp_path, SLEEP)
        until((tmp_path / "out").read_text, what="the child to run")
        pid = child.pid
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()

"""Every crash test believes the fork server: it tells how a child ended, and keeps nothing of the one before."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path

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


def test_children_run_side_by_side_each_gets_its_own_end_and_none_outlives_the_nursery(tmp_path: Path) -> None:
    with Nursery(tmp_path / "log") as nursery:
        sleeping = []
        for _ in range(3):
            sleeping.append(start(nursery, tmp_path, SLEEP))
            until((tmp_path / "out").read_text, what="the child to run")
        for child, number in zip(sleeping, (signal.SIGKILL, signal.SIGTERM), strict=False):
            assert child.poll() is None
            child.send_signal(number)
            assert child.wait(PATIENCE_SECONDS) == -number
            child.kill()  # reaches nobody
        assert Path(f"/proc/{sleeping[2].pid}").exists()
    assert not Path(f"/proc/{sleeping[2].pid}").exists()

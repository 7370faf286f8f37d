"""The whole program as a process: started as people start it, heard until it is ready, ended by a real signal."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.measure import child_environment

PATIENCE_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.002

COMMAND: Final = (sys.executable, "-m", "exlab_wizard")
# What the program will hold in memory when it also has its server and its page.
WITH_THE_WHOLE_STACK: Final = (
    sys.executable,
    "-c",
    "import fastapi, uvicorn, sqlalchemy.orm, sys\nfrom exlab_wizard.cli.main import main\nsys.exit(main())",
)


class Application:
    """`run --headless` on a state dir of its own."""

    def __init__(self, state_dir: Path, command: Sequence[str] = COMMAND) -> None:
        """Start it and wait until it says that it is ready; `ready_s` is how long that took."""
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [*command, "--state-dir", str(state_dir), "run", "--headless", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=child_environment(),
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        event = json.loads(self.process.stdout.readline())
        self.ready_s = time.perf_counter() - began
        assert event["event"] == "ready", event
        self.database = state_dir / "exlab-wizard.db"

    def terminate(self, number: int = signal.SIGTERM) -> float:
        """Send a signal that ends the program, and return when."""
        at = time.time()
        self.process.send_signal(number)
        return at

    def gone(self) -> float:
        """Wait for the end of the process and return its time."""
        # A wait with a time limit polls, up to 50 ms apart; a timer that kills leaves the waiting to the system.
        last_resort = threading.Timer(PATIENCE_SECONDS, self.process.kill)
        last_resort.start()
        self.process.wait()
        at = time.time()
        last_resort.cancel()
        assert self.process.returncode in {0, 1}, self.process.returncode
        return at

    def ask(self, sql: str) -> list[tuple[str | int | None, ...]]:
        """Query the database from outside, as an administrator would."""
        connection = sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def until(self, sql: str, wanted: Callable[[str | int | None], bool]) -> None:
        """Wait until the one value that `sql` asks for is as wanted."""
        wait_until(lambda: wanted(self.ask(sql)[0][0]))


def wait_until(true: Callable[[], bool]) -> None:
    """Look every two milliseconds.

    Raises:
        TimeoutError: it never became true.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(_LOOK_SECONDS)


def command(state_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one command of the program to its end."""
    return subprocess.run(
        [*COMMAND, "--state-dir", str(state_dir), *arguments],
        env=child_environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=900,
    )


def configure(state_dir: Path, *, bandwidth_mib_s: float | None = None, folder: Path | None = None) -> Path:
    """Give a state dir one destination and a run no settling time; returns the destination's folder."""
    target = folder or state_dir / "nas"
    limit = [] if bandwidth_mib_s is None else ["--bandwidth", str(bandwidth_mib_s)]
    command(state_dir, "destination", "add", "nas", str(target), "--create", *limit)
    config = state_dir / "config.toml"
    config.write_text("[sync]\nsettle_s = 0\n\n" + config.read_text("utf-8"), "utf-8")
    return target


def moment(text: str | int | None) -> float:
    """Return a time of the database as seconds of the epoch."""
    return datetime.fromisoformat(str(text)).astimezone(UTC).timestamp()

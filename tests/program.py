"""The real program as a child process: started, asked, killed, and its database looked at from outside.

Nothing here waits for time: `until` polls a condition and fails with what it waited for.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self, TypeVar

from exlab_wizard.runtime.host import SystemClock
from exlab_wizard.store.database import Database, Value
from exlab_wizard.store.driver import driver
from exlab_wizard.store.jobs import NewJob
from exlab_wizard.store.store import Store
from exlab_wizard.transfer.marker import create_marker

ROOT: Final = Path(__file__).resolve().parents[1]
MIB: Final = 1 << 20
PATIENCE_SECONDS: Final = 20.0
_Answer = TypeVar("_Answer")


def until(condition: Callable[[], _Answer], timeout: float = PATIENCE_SECONDS, what: str = "") -> _Answer:
    """Return the first answer of `condition` that is true; fail after `timeout` seconds."""
    pause = threading.Event()
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        if time.monotonic() > deadline:
            msg = f"waited {timeout:g} s in vain for {what or condition}"
            raise AssertionError(msg)
        pause.wait(0.02)
    return answer


def write_run(folder: Path, files: dict[str, int], seed: int = 1) -> Path:
    """Write files of the given sizes with content that differs everywhere, older than any `settle_s` of a test."""
    block = random.Random(seed).randbytes(MIB)  # noqa: S311 - content of a test run, no secret
    for name, size in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for start in range(0, size, MIB):
                head = f"{name}:{start}:".encode()
                file.write((head + block[len(head) :])[: min(MIB, size - start)])
        an_hour_ago = time.time() - 3600
        os.utime(path, (an_hour_ago, an_hour_ago))
    return folder


class Program:
    """One state dir, one destination `nas`, and the process that runs on them, if any; leaving kills it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.state = home / "state"
        self.nas = home / "nas"
        self.config = self.state / "config.toml"
        self.database = self.state / "exlab-wizard.db"
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self.environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
        self.configure()

    def configure(  # noqa: PLR0913 - one name for each setting that a test may turn
        self,
        *,
        bandwidth_mib_s: float | None = None,
        window_s: float = 30.0,
        session_end_window_s: float = 5.0,
        workers: int = 2,
        settle_s: float = 0.0,
        more: str = "",
    ) -> None:
        """Write `config.toml`; the destination exists and has its marker."""
        self.state.mkdir(parents=True, exist_ok=True)
        if not self.nas.exists():
            self.nas.mkdir()
            create_marker(self.nas, "nas")
        limit = "" if bandwidth_mib_s is None else f"bandwidth_mib_s = {bandwidth_mib_s}\n"
        self.config.write_text(
            f"[quit]\nwindow_s = {window_s}\nsession_end_window_s = {session_end_window_s}\n"
            f"[sync]\nworkers = {workers}\nsettle_s = {settle_s}\n"
            f"[destinations.nas]\ntarget = {json.dumps(str(self.nas))}\n{limit}{more}",
            encoding="utf-8",
        )

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of `exlab-wizard ARGUMENTS` on this state dir."""
        return [sys.executable, "-m", "exlab_wizard", "--state-dir", str(self.state), *arguments]

    def call(self, *arguments: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run another command to its end, with nobody at a terminal."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, *, ready: bool = True) -> subprocess.Popen[bytes]:
        """Start `run --headless --json`; with `ready`, return when it says that work may begin."""
        self._starts += 1
        with self._output("out") as out, self._output("err") as err:
            self._process = subprocess.Popen(
                self.command("run", "--headless", "--json"),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        if ready:
            until(self._is_ready, what="the program to be ready")
        return self._process

    def _output(self, stream: str) -> IO[bytes]:
        return (self.home / f"launch-{self._starts}.{stream}").open("wb")

    def said(self) -> str:
        """Return what the last start wrote to standard output."""
        return (self.home / f"launch-{self._starts}.out").read_text("utf-8")

    def log(self) -> str:
        """Return what the last start wrote to standard error."""
        return (self.home / f"launch-{self._starts}.err").read_text("utf-8", errors="replace")

    def _is_ready(self) -> bool:
        if "\n" in self.said():
            return True
        assert self.process.poll() is None, f"ended before it was ready: {self.process.returncode}\n{self.log()}"
        return False

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process that was started last."""
        assert self._process is not None
        return self._process

    def kill(self) -> None:
        """Kill the process as a power cut would, and prove that it died of that."""
        self.process.kill()
        assert self.process.wait(PATIENCE_SECONDS) == -9

    def wait(self, timeout: float = PATIENCE_SECONDS) -> int:
        """Return the exit status; fail when the process lives on."""
        return self.process.wait(timeout)

    def query(self, sql: str, *values: Value) -> list[tuple[Value, ...]]:
        """Run one statement on the database as an administrator would, a write included."""
        connection = driver.connect(self.database, timeout=10.0, isolation_level=None)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def value(self, sql: str, *values: Value) -> Value:
        """Return the first column of the first row."""
        return self.query(sql, *values)[0][0]

    def number(self, sql: str, *values: Value) -> int:
        """Return a whole number from the database."""
        value = self.value(sql, *values)
        assert isinstance(value, int)
        return value

    def job_state(self, job_id: int = 1) -> Value:
        """Return the state of a job."""
        return self.value("SELECT state FROM sync_jobs WHERE id = ?", job_id)

    def enqueue(self, run: Path) -> int:
        """Queue a run from outside, as `sync` does; the database must exist."""
        with self.store() as store:
            return store.jobs.enqueue(NewJob(str(run), "nas"), SystemClock().now()).job_id

    def store(self) -> OutsideStore:
        """Return the store as another process has it, to be used in a `with`."""
        return OutsideStore(self.database)

    def checksums_pass(self, name: str) -> bool:
        """Return whether `sha256sum -c` is content with the published run `name`."""
        command = ["sha256sum", "--strict", "--quiet", "-c", ".exlab-wizard/checksums.sha256"]
        return subprocess.run(command, cwd=self.nas / name, capture_output=True, check=False).returncode == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE_SECONDS)


class OutsideStore:
    """A `Store` with connections of its own, closed at the end."""

    def __init__(self, database: Path) -> None:
        self._store = Store(Database(database))

    def __enter__(self) -> Store:
        return self._store

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store.close()

"""The real program as a child process: started, queried, killed, and its database read from outside.

Nothing here sleeps for a fixed time: `until` polls a condition, and names it when it fails. Nothing of the program is
replaced, and nothing outside the lab's own folder is touched.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

import exlab_wizard
from exlab_wizard.domain.codec import Json
from exlab_wizard.domain.text.amounts import elapsed
from exlab_wizard.paths import StateDir
from exlab_wizard.process.identity import SystemClock
from exlab_wizard.process.server_json import ServerAddress, read_server_file
from exlab_wizard.store.queue.jobs import STATE_OF, NewJob
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.sqlite.driver import driver
from exlab_wizard.store.sqlite.values import Value
from exlab_wizard.store.store import Store
from exlab_wizard.transfer.destination.marker import create_marker

PATIENCE_SECONDS: Final = 120.0
KILLED: Final = -9
RUN: Final = ("run", "--headless", "--json")
_POLL_INTERVAL_SECONDS: Final = 0.02
_Answer = TypeVar("_Answer")


class Process(Protocol):
    """The part of `subprocess.Popen` that a lab needs."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """Return its exit status, None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit status; raise TimeoutExpired if it still runs."""

    def send_signal(self, number: int, /) -> None:
        """Send a signal."""

    def terminate(self) -> None:
        """Send SIGTERM."""

    def kill(self) -> None:
        """Send SIGKILL."""


def until(condition: Callable[[], _Answer | None], timeout: float = PATIENCE_SECONDS, what: str = "") -> _Answer:
    """Return the first true result of `condition`.

    Raises:
        AssertionError: there was none within `timeout` seconds; `what` names the condition.
    """
    pause = threading.Event()
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        if time.monotonic() > deadline:
            msg = f"timed out after {elapsed(timeout)}, waiting for {what or condition}"
            raise AssertionError(msg)
        pause.wait(_POLL_INTERVAL_SECONDS)
    return answer


class Application:
    """State dir and destination `nas` below `home`, and the process that uses them; leaving the context kills it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.state = home / "state"
        self.nas = home / "nas"
        self.config = self.state / "config.toml"
        self.database = self.state / "exlab-wizard.db"
        self._process: Process | None = None
        self._starts = 0
        package = Path(exlab_wizard.__file__).parents[1]
        paths = [str(package), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        self.configure()

    def configure(  # noqa: PLR0913 - one parameter for each setting that a test may change
        self,
        *,
        bandwidth_mib_s: float | None = None,
        window_s: float = 30.0,
        session_end_window_s: float = 5.0,
        workers: int = 2,
        settle_s: float = 0.0,
        stall_s: float = 120.0,
        more: str = "",
    ) -> None:
        """Write `config.toml`; create the destination with its marker if it is missing."""
        self.state.mkdir(parents=True, exist_ok=True)
        if not self.nas.exists():
            self.nas.mkdir()
            create_marker(self.nas, "nas")
        limit = "" if bandwidth_mib_s is None else f"bandwidth_mib_s = {bandwidth_mib_s}\n"
        self.config.write_text(
            f"[quit]\nwindow_s = {window_s}\nsession_end_window_s = {session_end_window_s}\n"
            f"[sync]\nworkers = {workers}\nsettle_s = {settle_s}\nstall_s = {stall_s}\n"
            f"[destinations.nas]\ntarget = {json.dumps(str(self.nas))}\n{limit}{more}",
            encoding="utf-8",
        )

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of `exlab-wizard ARGUMENTS` on this state dir."""
        return [sys.executable, "-m", "exlab_wizard", "--state-dir", str(self.state), *arguments]

    def call(self, *arguments: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run another command to its end, without a terminal."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, *, ready: bool = True) -> Process:
        """Start `run --headless --json`; with `ready`, return when it reports that it is ready."""
        process = self._spawn(self.command(*RUN))
        if ready:
            self.until_ready()
        return process

    def until_ready(self) -> None:
        """Return when the application that was started last reports that it is ready.

        Raises:
            AssertionError: it exited instead; the message contains its log.
        """

        def is_ready() -> bool:
            if "\n" in self.said():
                return True
            if self.process.poll() is not None:
                msg = f"the program exited with {self.process.returncode} before it was ready\n{self.log()}"
                raise AssertionError(msg)
            return False

        until(is_ready, what="the program to be ready")

    def _spawn(self, command: Sequence[str]) -> Process:
        self._starts += 1
        self._process = self._started(command, self._output("out"), self._output("err"))
        return self._process

    def _started(self, command: Sequence[str], stdout: Path, stderr: Path) -> Process:
        with stdout.open("wb") as out, stderr.open("wb") as err:
            return subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    def _output(self, stream: str) -> Path:
        return self.home / f"launch-{self._starts}.{stream}"

    def said(self) -> str:
        """Return the standard output of the last start."""
        return self._output("out").read_text("utf-8")

    def log(self) -> str:
        """Return the standard error of the last start."""
        return self._output("err").read_text("utf-8", errors="replace")

    @property
    def process(self) -> Process:
        """The process that was started last."""
        if self._process is None:
            raise AssertionError("nothing has been started yet")
        return self._process

    def kill(self) -> None:
        """Kill the process with SIGKILL, and prove that it died of that.

        Raises:
            AssertionError: it had exited before.
        """
        self.process.kill()
        status = self.process.wait(PATIENCE_SECONDS)
        if status != KILLED:
            msg = f"the kill came too late: the program had exited with {status}\n{self.log()}"
            raise AssertionError(msg)

    def wait(self, timeout: float = PATIENCE_SECONDS) -> int:
        """Return the exit status; fail if the process still runs."""
        return self.process.wait(timeout)

    def query(self, sql: str, *values: Value) -> list[tuple[Value, ...]]:
        """Run one statement on the database as an administrator would, a write included."""
        connection = driver.connect(self.database, timeout=PATIENCE_SECONDS, isolation_level=None)
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
        if not isinstance(value, int):
            raise TypeError(value)
        return value

    def job_state(self, job_id: int = 1) -> Value:
        """Return the state of a job."""
        return self.query(STATE_OF.sql.replace(":job", "?"), job_id)[0][0]

    def enqueue(self, run: Path) -> int:
        """Queue a run from outside, as `sync` does; the database must exist."""
        with self.store() as store:
            return store.jobs.enqueue(NewJob(str(run), "nas"), SystemClock().now()).job_id

    @contextlib.contextmanager
    def store(self) -> Iterator[Store]:
        """Lend the store with connections of its own, as in another process."""
        store = Store(Database(self.database))
        try:
            yield store
        finally:
            store.close()

    def api(self, method: str, path: str, body: Json = None) -> tuple[int, Json]:
        """Send an HTTP request to the running application, as its owner, and return status and answer.

        `path` is what follows `/api/v1`.

        Raises:
            OSError: it no longer answers.
            http.client.HTTPException: likewise, in the middle of an answer.
        """

        def listening() -> ServerAddress | None:
            address = read_server_file(StateDir(self.state).server)
            return address if address is not None and address.pid == self.process.pid else None

        address = until(listening, what="the application to listen")
        connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=PATIENCE_SECONDS)
        with contextlib.closing(connection):
            content = None if body is None else json.dumps(body)
            headers = {"Authorization": f"Bearer {address.token}", "Content-Type": "application/json"}
            connection.request(method, f"/api/v1{path}", content, headers)
            answer = connection.getresponse()
            document: Json = json.loads(answer.read() or b"null")
            return answer.status, document

    def checksums_pass(self, name: str) -> bool:
        """Return whether `sha256sum -c` confirms the published run `name`."""
        command = ["sha256sum", "--strict", "--quiet", "-c", ".exlab-wizard/checksums.sha256"]
        return subprocess.run(command, cwd=self.nas / name, capture_output=True, check=False).returncode == 0

    def __enter__(self) -> Self:
        """Return the application."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill the process if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE_SECONDS)

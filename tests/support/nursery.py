"""The tests' side of the fork server: a launch of the real program costs some milliseconds instead of its imports.

A child is known by its number, never by a pid alone, so no signal ever reaches a stranger. Its end is reported as
`subprocess` does it: the exit status, or the negative number of the signal that killed it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support.fork_server import MESSAGE_BYTES, Request

from exlab_wizard.testing import PATIENCE_SECONDS

ROOT: Final = Path(__file__).resolve().parents[2]
COMMAND_LINE: Final = "exlab_wizard.cli.main:main"
_POLL_INTERVAL_SECONDS: Final = 0.1


class Nursery:
    """One fork server. Use it in a `with`; leaving kills what still runs in it."""

    def __init__(self, log: Path, preload: Path | None = None) -> None:
        """Start it with its own output in `log`; `preload` is a library that every child shall have loaded."""
        self._lock = threading.Lock()
        self._known: dict[int, Child] = {}
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
        if preload is not None:
            environment["LD_PRELOAD"] = str(preload)
        with log.open("wb") as output, theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tests.support.fork_server", str(theirs.fileno())],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def start(  # noqa: PLR0913 - what a process is started with
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        stdout: Path,
        stderr: Path,
        entry: str = COMMAND_LINE,
    ) -> Child:
        """Return a child that runs `entry` with `arguments`; nothing of what earlier children did is in it."""
        for output in (stdout, stderr):
            output.write_bytes(b"")  # from now on they hold nothing of an earlier child
        with self._lock:
            child = Child(self, len(self._known))
            self._known[child.number] = child
        request = Request(
            child.number, entry, list(arguments), dict(environment), str(folder), str(stdout), str(stderr)
        )
        self._channel.send(request.encoded())
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not child.pid:
            assert time.monotonic() < deadline, "the fork server does not answer"
            self.listen(_POLL_INTERVAL_SECONDS)
        return child

    def send_signal(self, child: int, number: int) -> None:
        """Signal a child; one that has ended is left alone."""
        self._channel.send(json.dumps({"child": child, "signal": number}).encode())

    def listen(self, timeout: float) -> None:
        """Take one message from the fork server, if one comes in time."""
        with self._lock:
            self._channel.settimeout(timeout)
            try:
                message = self._channel.recv(MESSAGE_BYTES)
            except (TimeoutError, BlockingIOError):
                return
            assert message, "the fork server ended"
            fields: dict[str, int] = json.loads(message)
            child = self._known[fields["child"]]
            child.pid = fields.get("pid", child.pid)
            child.returncode = fields.get("status", child.returncode)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()
        self._server.wait(PATIENCE_SECONDS)


class Child:
    """A process of the nursery, as a test handles one of `subprocess`."""

    def __init__(self, nursery: Nursery, number: int) -> None:
        """Belong to `nursery` under this number."""
        self._nursery = nursery
        self.number = number
        self.pid = 0
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return how it ended, None while it runs."""
        if self.returncode is None:
            self._nursery.listen(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return how it ended.

        Raises:
            subprocess.TimeoutExpired: it lives on after `timeout` seconds.
        """
        began = time.monotonic()
        while self.returncode is None:
            if timeout is not None and time.monotonic() - began > timeout:
                raise subprocess.TimeoutExpired([f"child {self.pid}"], timeout)
            self._nursery.listen(_POLL_INTERVAL_SECONDS)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Signal it, unless it has ended."""
        self._nursery.send_signal(self.number, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self.send_signal(signal.SIGKILL)

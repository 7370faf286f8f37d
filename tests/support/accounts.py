"""Another account of this machine, for tests that run as root: its programs, and what they hear from the server."""

from __future__ import annotations

import contextlib
import encodings.idna  # noqa: F401 - before another account, which may not read where Python lies, needs it
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

import pytest

NOBODY: Final = 65_534
needs_root: Final = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root starts programs of another account"
)
# What is used is imported first, for the same reason.
_BECOME: Final = f"""
import json, resource, socket, struct, sys
import encodings.idna, encodings.latin_1
resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
import os
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
port = int(sys.argv[1])
"""
_EXCHANGE: Final = f"""{_BECOME}
for line in sys.stdin:
    asked = json.loads(line)
    answer = b""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.settimeout(60)
        try:
            client.bind(tuple(asked["source"]))
            client.connect(("127.0.0.1", port))
            client.sendall(asked["sent"].encode("latin-1"))
            if asked["leaves"]:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            while not asked["leaves"] and (more := client.recv(65536)):
                answer += more
        except OSError:
            pass
    print(json.dumps(answer.decode("latin-1")), flush=True)
"""
_HOLD: Final = f"""{_BECOME}
held = []
for number in range(int(sys.argv[2])):
    held.append(socket.create_connection(("127.0.0.1", port)))
    if number % 10 == 0:
        held[-1].send(b"GET / HTTP/1.1\\r\\nHost: ")
print("held", flush=True)
sys.stdin.read()
"""


class Stranger:
    """A program of another account that talks to the server at `port`."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process = process
        self._port = port

    def exchange(self, sent: str, *, source: tuple[str, int] = ("", 0), leaves: bool = False) -> tuple[int, str]:
        """Send bytes; return status and whole answer, (0, "") without one. `leaves` resets instead of listening."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"sent": sent, "source": source, "leaves": leaves}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return int(answer.split()[1]) if answer else 0, answer

    def ask(
        self,
        path: str,
        *headers: str,
        method: str = "GET",
        source: tuple[str, int] = ("", 0),
        leaves: bool = False,
    ) -> tuple[int, str]:
        """Send one request, as `exchange` does."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self._port}", "Connection: close", *headers, "", ""]
        return self.exchange("\r\n".join(lines), source=source, leaves=leaves)


def _started(code: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-I", "-S", "-c", code, *arguments]
    return subprocess.Popen(command, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


@contextlib.contextmanager
def stranger_at(port: int) -> Iterator[Stranger]:
    """Yield a program of another account."""
    process = _started(_EXCHANGE, str(port))
    try:
        yield Stranger(process, port)
    finally:
        _end(process)


@contextlib.contextmanager
def held_connections(port: int, count: int) -> Iterator[None]:
    """Let another account hold `count` connections in the block: idle ones, and a tenth with half a request."""
    process = _started(_HOLD, str(port), str(count))
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield
    finally:
        _end(process)


@contextlib.contextmanager
def sockets_of_nobody() -> Iterator[None]:
    """Let sockets that this process makes in the block belong to another account."""
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)

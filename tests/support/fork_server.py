"""The fork server: imports the whole program once, then forks a fresh copy of itself for each launch that is asked for.

It starts no thread and opens no database, so every child begins where `python -m exlab_wizard` stands after its
imports. A child leads a session of its own and runs the program's `main` from the top level, to leave as it leaves.
Requests and signals go in, pids and wait statuses come out: what a launch means is the tests' business.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

MESSAGE_BYTES: Final = 1 << 18
PACKAGE: Final = "exlab_wizard"
ALSO: Final = (
    "alembic.command",
    "alembic.config",
    "alembic.ddl.sqlite",
    "alembic.runtime.migration",
    "pydantic.v1",
    "tomlkit",
    "uvicorn.lifespan.off",
)
NEEDS_A_DESKTOP: Final = ("exlab_wizard.tray.icon.icon", "exlab_wizard.desktop.window.webview")
"""What cannot be imported without a display, or brings a toolkit that must not be forked."""
_ARM_SHIM: Final = "crash_shim_arm"
_SET_PARENT_DEATH_SIGNAL: Final = 1


@dataclass(frozen=True, slots=True)
class Request:
    """One launch: `entry` is `module:function`, called with `arguments` and giving the exit status."""

    child: int
    entry: str
    arguments: list[str]
    environment: dict[str, str]
    folder: str
    stdout: str
    stderr: str

    def encoded(self) -> bytes:
        """Return the message that asks for it."""
        return json.dumps(asdict(self)).encode()


def import_everything() -> None:
    """Import every module that the command line may need, and what these import when they first need it."""
    package = importlib.import_module(PACKAGE)
    for module in pkgutil.walk_packages(package.__path__, f"{PACKAGE}."):
        elsewhere = (f"{PACKAGE}.testing", *NEEDS_A_DESKTOP)
        if not module.name.endswith("__main__") and not module.name.startswith(elsewhere):
            importlib.import_module(module.name)
    for name in ALSO:
        importlib.import_module(name)


class ForkServer:
    """Takes requests from one socket, and reports there how each child ended."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._children: dict[int, tuple[int, int]] = {}
        """Process descriptor to number and pid."""

    def serve(self) -> Request | None:
        """Fork for each request until the tests are over: the request in a child, None in the parent."""
        while True:
            waiting = select.poll()
            for descriptor in (self._channel.fileno(), *self._children):
                waiting.register(descriptor, select.POLLIN)
            for descriptor, _ in waiting.poll():
                if descriptor in self._children:
                    self._report(descriptor)
                    continue
                message = self._channel.recv(MESSAGE_BYTES)
                if not message:
                    self._end_children()
                    return None
                fields = json.loads(message)
                if "signal" in fields:
                    self._send_signal(fields["child"], fields["signal"])
                    continue
                request = Request(**fields)
                if self._fork(request):
                    return request

    def _fork(self, request: Request) -> bool:
        """Return whether this is the child."""
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._channel.close()
            for descriptor in self._children:
                os.close(descriptor)
            _become(request, parent)
            return True
        self._children[os.pidfd_open(pid)] = (request.child, pid)
        self._answer(request.child, pid=pid)
        return False

    def _report(self, descriptor: int) -> None:
        child, pid = self._children.pop(descriptor)
        os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        self._answer(child, status=os.waitstatus_to_exitcode(status))

    def _send_signal(self, child: int, number: int) -> None:
        """Signal a child that was not waited for yet: its pid cannot be somebody else's."""
        for descriptor, (one, _) in self._children.items():
            if one == child:
                signal.pidfd_send_signal(descriptor, number)

    def _end_children(self) -> None:
        for descriptor, (_, pid) in self._children.items():
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _answer(self, child: int, **fields: int) -> None:
        self._channel.send(json.dumps({"child": child, **fields}).encode())


def _become(request: Request, parent: int) -> None:
    """Give this fresh fork the surroundings of a process that a shell has started."""
    os.setsid()
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    writing = os.O_WRONLY | os.O_APPEND
    streams = ((0, os.devnull, os.O_RDONLY), (1, request.stdout, writing), (2, request.stderr, writing))
    for number, path, flags in streams:
        opened = os.open(path, flags)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    sys.argv = [request.entry, *request.arguments]


def entry_of(request: Request) -> Callable[[list[str]], int]:
    """Return the function to run, and arm the kill shim if it is loaded: what comes before is not the program's."""
    module, _, name = request.entry.partition(":")
    function: Callable[[list[str]], int] = getattr(importlib.import_module(module), name)
    libc = ctypes.CDLL(None)
    if hasattr(libc, _ARM_SHIM):
        getattr(libc, _ARM_SHIM)()
    return function


if __name__ == "__main__":
    import_everything()
    assert threading.active_count() == 1, "a fork would lose the other threads"
    gc.collect()
    gc.freeze()  # garbage collection in the children does not touch, and so copy, what they share
    wanted = ForkServer(socket.socket(fileno=int(sys.argv[1]))).serve()
    if wanted is not None:
        sys.exit(entry_of(wanted)(wanted.arguments))

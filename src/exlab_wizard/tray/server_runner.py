"""Runs the HTTP server in a thread of its own: bound early, imported late, stopped at once.

The port is bound when the application is assembled, so its address is known before the server answers; early clients
wait in the kernel's queue until the thread has imported what it needs. A server that cannot start never keeps the
application from syncing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exlab_wizard.errors import ExlabError
from exlab_wizard.process.server_json import ServerAddress, write_private
from exlab_wizard.tray.quit_ports import ServedApplication

if TYPE_CHECKING:
    from exlab_wizard.tray.uvicorn_server import Serving

log = logging.getLogger(__name__)

HOST: Final = "127.0.0.1"
BACKLOG: Final = 256
START_SECONDS: Final = 20.0
# In steps, so that a quit in the first half second need not wait for all of it.
_LATE: Final = ("asyncio", "h11", "uvicorn.server", "fastapi.routing", "fastapi", "exlab_wizard.tray.uvicorn_server")


class ServerError(ExlabError):
    """The HTTP server cannot start; everything else works without it."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(f"the HTTP API cannot start: {cause}; syncing continues without it. Fix that and restart.")


class ServerRunner:
    """A service: `start` returns when requests are answered, `stop` when the thread has ended.

    It serves what `make` builds for a port, called in the server's thread; `file` tells clients where and how.
    `wanted_port` is taken if it is free; otherwise, or with 0, the system chooses.
    """

    def __init__(
        self, make: Callable[[int], ServedApplication], file: Path, *, token: str, started_at: str, wanted_port: int = 0
    ) -> None:
        self._make = make
        self._file = file
        self._token = token
        self._wanted_port = wanted_port
        self._started_at = started_at
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._serving: Serving | None = None
        self._application: ServedApplication | None = None
        self._settled = threading.Event()
        self._stopping = False
        self._failure: BaseException | None = None

    def bind(self) -> int:
        """Bind a port and return it; from now on clients may connect, and wait.

        Raises:
            ServerError: none is available.
        """
        if self._socket is None:
            try:
                self._file.unlink(missing_ok=True)
                self._socket = self._bound()
            except OSError as error:
                self._failure = error
                raise ServerError(error) from error
        port: int = self._socket.getsockname()[1]
        return port

    def _bound(self) -> socket.socket:
        if self._wanted_port:
            with contextlib.suppress(OSError):  # another program uses it by now
                return _listening(self._wanted_port)
        return _listening(0)

    def start(self) -> None:
        """Start answering; returns when requests are answered, or when it was stopped meanwhile.

        Raises:
            ServerError: it cannot start.
        """
        port = self.bind()
        with self._lock:
            self._stopping, self._failure = False, None
            self._settled.clear()
            thread = threading.Thread(target=self._serve, args=(port,), name="http", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                raise ServerError(error) from error
            self._thread = thread
        self._settled.wait()
        if self._failure is not None:
            raise ServerError(self._failure) from self._failure

    @property
    def alive(self) -> bool:
        """Whether it answers, or will in a moment, or need not."""
        thread = self._thread
        return self._failure is None and (thread is None or thread.is_alive())

    def login_url(self, page: str) -> str | None:
        """Return a URL that lets a browser in once and leads to `page`; None if nothing answers.

        Waits for the server to answer, or to fail, if it is just starting.
        """
        if self._socket is None:
            return None
        self._settled.wait(START_SECONDS)
        with self._lock:
            if self._application is None or self._socket is None:
                return None
            return f"http://{HOST}:{self._socket.getsockname()[1]}{self._application.login_path(page)}"

    def stop(self) -> None:
        """Stop: close streams, answer the requests under way, end the thread. Harmless before `start`."""
        with self._lock:
            self._stopping = True
            if self._serving is not None:
                self._serving.stop()
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        self._let_go()

    def _serve(self, port: int) -> None:
        try:
            for module in _LATE:
                if self._stopping:
                    return
                import_module(module)
            from exlab_wizard.tray.uvicorn_server import Serving  # noqa: PLC0415 - imported here, where nothing waits for it

            application = self._make(port)
            with self._lock:
                if not self._stopping and self._socket is not None:
                    self._serving, self._application = Serving(application, self._socket), application
                serving = self._serving
            if serving is None:
                application.close()  # it already has threads
                return
            serving.run_until_stopped(lambda: self._answering(port))
        except BaseException as error:  # boundary: also SystemExit, which uvicorn raises; the application continues
            self._failure = error
            if self._settled.is_set() or not isinstance(error, OSError):  # else `start` has the sentence
                log.exception("the HTTP API crashed; syncing continues without it")
        finally:
            self._let_go()
            self._settled.set()

    def _answering(self, port: int) -> None:
        address = ServerAddress(port, os.getpid(), self._started_at, self._token)
        write_private(self._file, asdict(address))
        log.debug("the HTTP API answers at http://%s:%d/", HOST, port)
        self._settled.set()

    def _let_go(self) -> None:
        """Release everything, the file first: what it promises must hold."""
        with self._lock, contextlib.suppress(OSError):
            self._serving = self._application = None
            if self._socket is not None:
                self._socket.close()
                self._socket = None
                self._file.unlink(missing_ok=True)


def _listening(port: int) -> socket.socket:
    """Return a socket that listens at `port`, or at one that the system chooses for 0.

    Raises:
        OSError: it is taken, or there is none.
    """
    # With its protocol named, asyncio turns off Nagle's delay, which is 40 ms for each answer on a connection in use.
    taken = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform == "win32":
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        elif port:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((HOST, port))
        if sys.platform != "win32" and not port:
            # Connections keep a port for a minute after their program, unless it and the next one both set this. Set
            # before the bind to port 0, it would let the system give one free port to two programs at once.
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.listen(BACKLOG)
    except OSError:
        taken.close()
        raise
    return taken

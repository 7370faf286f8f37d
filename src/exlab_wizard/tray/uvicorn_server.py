"""uvicorn as we need it: it stops at once instead of within a second, and no client can block a connection.

Imported by the server's own thread only, since it loads uvicorn. A request that is not HTTP is refused in the
application's own format; one that is not complete within ten seconds is cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable
from typing import Final, cast

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from exlab_wizard.process.threads import call_in_loop
from exlab_wizard.tray.admission import Admission
from exlab_wizard.tray.quit_ports import ServedApplication

REQUEST_SECONDS: Final = 10.0
"""From the first byte of a request, or from connecting, to its last byte."""
KEEP_ALIVE_SECONDS: Final = 75
OTHERS_KEEP_ALIVE_SECONDS: Final = 5
BACKLOG: Final = 1024
_ACCEPTED_AT_ONCE: Final = 64
"""So that a flood of connections is turned away bit by bit, before it has used up all descriptors."""
HEADER_BYTES: Final = 16 << 10
TICK_SECONDS: Final = 1.0
STREAMS_END_SECONDS: Final = 0.02
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
ANSWERS_END_SECONDS: Final = 0.5
"""How long a stop waits for the answers of requests that were received whole; streams and slow readers are cut off."""


class _Config(uvicorn.Config):
    """uvicorn's, which each connection has, with the admission that all share."""

    admission: Admission


class _Connection(H11Protocol):
    """One client's connection, with a time limit for each request; requests know whose it is."""

    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own form
        accepted, client = transport.get_extra_info("socket"), transport.get_extra_info("peername")
        stranger = self._admission.peers.stranger(accepted, client)
        if not self._admission.enter(stranger):
            transport.abort()
            return
        super().connection_made(transport)
        self.app_state = {**self.app_state, "stranger": stranger}
        if stranger is not None:
            self.timeout_keep_alive = OTHERS_KEEP_ALIVE_SECONDS
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expected()
        if self in self.connections:
            super().connection_lost(exc)
            self._admission.leave(self.app_state["stranger"])

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        partial = {h11.SEND_BODY: True, h11.IDLE: bool(self.conn.trailing_data[0])}
        if partial.get(self.conn.their_state, False):
            self._expect_request()
        else:
            self._expected()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._expect_request()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's sentence; ours has the one form
        body, headers = cast("ServedApplication", self.config.app).malformed()
        length = (b"content-length", str(len(body)).encode())
        headers = [*headers, length, (b"connection", b"close")]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def waits_for_its_handler(self) -> bool:
        """Whether a request was received whole, and its answer has not begun."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not (cycle.response_started or cycle.more_body)

    @property
    def _admission(self) -> Admission:
        return cast("_Config", self.config).admission

    def _expect_request(self) -> None:
        if self._limit is None:
            self._limit = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def _expected(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None


class Serving(uvicorn.Server):
    """One run of the server, in the calling thread; it stops at once, not at its next poll.

    `listening` is closed at the end.
    """

    def __init__(self, application: ServedApplication, listening: socket.socket) -> None:
        # Its warnings are about requests: each gets its answer, and our own line.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        config = _Config(
            application,
            http=_Connection,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            h11_max_incomplete_event_size=HEADER_BYTES,
            backlog=_ACCEPTED_AT_ONCE,
        )
        self._admission = config.admission = Admission(listening)
        super().__init__(config)
        self._served = application
        self._listening = listening
        self._answering: Callable[[], None] = lambda: None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._stopped = False

    def run_until_stopped(self, answering: Callable[[], None]) -> None:
        """Serve until `stop`; `answering` is called once, when requests are answered."""
        self._answering = answering
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            if not self._stopped:
                runner.run(self.serve(sockets=[self._listening]))

    def stop(self) -> None:
        """End it. Callable from any thread, at any time."""
        self._stopped = True
        call_in_loop(self._loop, self._stopping.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, and say so."""
        asyncio.get_running_loop().set_exception_handler(self._failed)
        await super().startup(sockets)
        self._listening.listen(BACKLOG)
        self._answering()

    async def main_loop(self) -> None:
        """Return at `stop`, not at the next poll after it."""
        while not self._stopping.is_set():
            await self.on_tick(0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), TICK_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, end streams and slow readers, and wait a moment for the answers under way."""
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        await self._served.farewell()
        self._served.close()
        await self._let_end(STREAMS_END_SECONDS, lambda _connection: True)
        await self._let_end(ANSWERS_END_SECONDS, lambda connection: connection.waits_for_its_handler())
        for task in list(self.server_state.tasks):
            task.cancel()
        await self._let_end(0, lambda _connection: False)
        self._admission.peers.close()

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in _EXHAUSTED:
            self._admission.exhausted(error)  # asyncio tries again a second later
        else:
            loop.default_exception_handler(context)

    async def _let_end(self, seconds: float, may_stay: Callable[[_Connection], bool]) -> None:
        """Cut off the connections that may not stay, and wait for the answers under way."""
        for connection in cast("list[_Connection]", list(self.server_state.connections)):
            if not may_stay(connection):
                connection.transport.abort()
        if self.server_state.tasks:
            await asyncio.wait(set(self.server_state.tasks), timeout=seconds)

"""Whose connection it is: the owner of the socket that is connected to ours now, and of no other."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from tests.support.accounts import NOBODY, needs_root, sockets_of_nobody

from exlab_wizard.process.peers import UNKNOWN, Peers, _Row

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")

Accept = Callable[[socket.socket], int | None]


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture(params=["the kernel answers", "the table is read"])
def whose(request: pytest.FixtureRequest, listening: socket.socket) -> Iterator[Callable[[], int | None]]:
    """Accept one connection and return whose it is."""
    peers = Peers(listening)
    if request.param == "the table is read":
        peers.close()

    def accepted() -> int | None:
        connection, client = listening.accept()
        with connection:
            return peers.stranger(connection, client)

    yield accepted
    peers.close()


def test_a_connection_of_our_own_is_ours(listening: socket.socket, whose: Callable[[], int | None]) -> None:
    with socket.create_connection(listening.getsockname()):
        assert whose() is None


def test_so_is_one_that_has_sent_everything(listening: socket.socket, whose: Callable[[], int | None]) -> None:
    with socket.create_connection(listening.getsockname()) as client:
        client.shutdown(socket.SHUT_WR)
        assert whose() is None


def test_so_is_one_of_a_socket_that_speaks_both_protocols(
    listening: socket.socket, whose: Callable[[], int | None]
) -> None:
    with socket.socket(socket.AF_INET6) as client:
        client.connect(("::ffff:127.0.0.1", listening.getsockname()[1]))
        assert whose() is None


def test_for_another_account_it_is_the_administrators(
    listening: socket.socket, whose: Callable[[], int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with socket.create_connection(listening.getsockname()):
        assert whose() == (None if os.getuid() == 0 else os.getuid())


@needs_root
def test_a_connection_of_another_account_is_its_own(listening: socket.socket, whose: Callable[[], int | None]) -> None:
    with sockets_of_nobody():
        client = socket.create_connection(listening.getsockname())
    with client:
        assert whose() == NOBODY


@needs_root
def test_one_that_is_gone_is_nobodys_even_where_the_kernel_says_0(
    listening: socket.socket, whose: Callable[[], int | None]
) -> None:
    with sockets_of_nobody():
        client = socket.create_connection(listening.getsockname())
    client.sendall(b"POST /api/v1/quit HTTP/1.1\r\n")
    client.close()
    assert whose() == UNKNOWN
    with sockets_of_nobody():
        client = socket.create_connection(listening.getsockname())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert whose() == UNKNOWN


@needs_root
def test_the_port_of_a_connection_of_ours_that_has_ended_lends_nothing(
    listening: socket.socket, whose: Callable[[], int | None]
) -> None:
    for _ in range(14):
        ours = socket.create_connection(listening.getsockname())
        port = ours.getsockname()[1]
        ours.close()
        assert whose() == UNKNOWN  # its row is in TIME_WAIT now
        with sockets_of_nobody():
            client = socket.socket()
            client.bind(("127.0.0.2", port))
            client.connect(listening.getsockname())
        with client:
            assert whose() == NOBODY


def test_a_row_is_of_this_connection_only_as_long_as_our_end_lives(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Peers, "_ask", lambda *_: _Row(state=1, uid=os.geteuid(), inode=7))
    peers = Peers(listening)
    with closing(peers):
        client = socket.create_connection(listening.getsockname())
        connection, address = listening.accept()
        with connection:
            assert peers.stranger(connection, address) is None
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            assert peers.stranger(connection, address) == UNKNOWN


def test_over_the_other_protocol_it_is_the_same() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listening:
        peers = Peers(listening)
        with closing(peers), socket.create_connection(listening.getsockname()[:2]):
            connection, client = listening.accept()
            with connection:
                assert peers.stranger(connection, client[:2]) is None


def test_without_descriptors_the_kernel_is_asked_all_the_same(listening: socket.socket) -> None:
    peers = Peers(listening)
    with closing(peers), socket.create_connection(listening.getsockname()):
        connection, client = listening.accept()
        with connection, pytest.MonkeyPatch.context() as patched:
            patched.setattr(socket, "socket", None)
            assert peers.stranger(connection, client) is None

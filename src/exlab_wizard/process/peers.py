"""Which account is at the other end of a connection on this machine, as the kernel says; asked once a connection.

A token, a cookie or a login link that another account got hold of is worth nothing to it: its connections are known.
Linux answers for one pair of ends at once (sock_diag), or else in its table of connections. Other systems do not tell
the standard library; there every connection counts as ours.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
from pathlib import Path
from typing import Final, NamedTuple

UNKNOWN: Final = -1
"""The account of an end that no process holds any longer, or that the kernel does not name."""
_ROOT: Final = 0
_SOCK_DIAG: Final = 4
_BY_FAMILY: Final = 20
# include/uapi/linux/netlink.h, sock_diag.h and inet_diag.h: a question is header, filter and ends, and so is a row.
_HEADER: Final = struct.Struct("=IHHII")
_FILTER: Final = struct.Struct("=BBxxI")
_ENDS: Final = struct.Struct("!HH16s16s4x")
_ANY_COOKIE: Final = b"\xff" * 8
_ROW: Final = struct.Struct(f"={_HEADER.size}x x B 2x {_ENDS.size}x 8x 12x I I")
_HELD: Final = (1, 4, 5)
"""ESTABLISHED, and both states of an end that has sent all it will send. Rows of other states, and those without an
inode, belong to no process: their account is given as 0."""
_LONGEST_TABLE: Final = 1 << 20

_End = tuple[str, int]


class _Row(NamedTuple):
    state: int
    uid: int
    inode: int


def account(stranger: int) -> str:
    """Return the words for an account in the log."""
    return "an unknown account" if stranger == UNKNOWN else f"uid {stranger}"


class Peers:
    """Names the accounts at the other ends of the connections that `listening` accepts. For one thread."""

    def __init__(self, listening: socket.socket) -> None:
        self._netlink: socket.socket | None = None
        self._questions = 0
        row = None
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG)
                self._netlink.settimeout(0)
                anywhere = ("0.0.0.0" if listening.family == socket.AF_INET else "::", 0)  # noqa: S104 - nothing is bound
                row = self._ask(self._netlink, listening.family, listening.getsockname()[:2], anywhere)
        if row is None:  # a kernel without sock_diag says of every socket that there is none
            self.close()

    def close(self) -> None:
        """Release the way to the kernel."""
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    def stranger(self, accepted: socket.socket, client: _End) -> int | None:
        """Return the uid at the other end, which is `client`; None for our own account and the administrator's.

        `UNKNOWN` where nothing proves that it is ours; None where the system does not tell.
        """
        if sys.platform != "linux":
            return None
        try:
            client, server = client[:2], accepted.getsockname()[:2]
            if self._netlink is not None:
                row = self._ask(self._netlink, accepted.family, client, server)
            else:
                row = _row_in_table(client, server)
            # As long as our end lives, no other connection has its two addresses: the row is of this one.
            accepted.getpeername()
        except OSError:
            return UNKNOWN
        if row is None or row.state not in _HELD or not row.inode:
            return UNKNOWN
        return None if row.uid in (os.geteuid(), _ROOT) else row.uid

    def _ask(self, netlink: socket.socket, family: int, local: _End, remote: _End) -> _Row | None:
        addresses = (socket.inet_pton(family, host) for host, _ in (local, remote))
        question = _FILTER.pack(family, socket.IPPROTO_TCP, 0xFFFF_FFFF)
        question += _ENDS.pack(local[1], remote[1], *addresses) + _ANY_COOKIE
        self._questions = (self._questions + 1) & 0xFFFF_FFFF
        netlink.sendto(_HEADER.pack(_HEADER.size + len(question), _BY_FAMILY, 1, self._questions, 0) + question, (0, 0))
        # The answer is there when the question is sent. That of an earlier question may be before it.
        while True:
            answer = netlink.recv(4096)
            _, kind, _, number, _ = _HEADER.unpack_from(answer)
            if number == self._questions:
                return _Row(*_ROW.unpack_from(answer)) if kind == _BY_FAMILY else None


def _row_in_table(local: _End, remote: _End) -> _Row | None:
    """Return the row of the kernel's table, of which only so much is read that no flood of connections takes long."""
    for name, form in (("tcp", "{:08X}:{:04X}"), ("tcp6", "0000000000000000FFFF0000{:08X}:{:04X}")):
        ends = [
            form.format(int.from_bytes(socket.inet_aton(host), sys.byteorder), port) for host, port in (local, remote)
        ]
        with Path(f"/proc/self/net/{name}").open(encoding="ascii") as table:
            columns = table.read(_LONGEST_TABLE).partition(f" {' '.join(ends)} ")[2].partition("\n")[0].split()
        if len(columns) > 6:  # noqa: PLR2004 - those up to the inode
            return _Row(int(columns[0], 16), int(columns[4]), int(columns[6]))
    return None

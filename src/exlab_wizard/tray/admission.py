"""How many connections are let in, and of whom: what other accounts open never uses up what the owner needs."""

from __future__ import annotations

import logging
import socket
import sys
from collections import Counter
from typing import Final

from exlab_wizard.process.logs import LogEachMinute
from exlab_wizard.process.peers import Peers, account

log = logging.getLogger(__name__)

MOST_CONNECTIONS: Final = 800
MOST_OF_OTHERS: Final = 32
MOST_OF_ONE: Final = 8
"""Connections of one other account; they may ask for health, and little else."""
_FOR_FILES: Final = 200
"""Descriptors that are left for everything else where there are enough."""


class Admission:
    """Counts the connections that `listening` accepts, by their accounts. For the event loop's thread."""

    def __init__(self, listening: socket.socket) -> None:
        self.peers = Peers(listening)
        self._log = LogEachMinute(log)
        self._most = min(MOST_CONNECTIONS, _affordable())
        self._open: Counter[int | None] = Counter()

    def enter(self, stranger: int | None) -> bool:
        """Let a connection of `stranger`, as `Peers` names it, in until `leave`, unless that account has too many."""
        if stranger is None:
            full = self._open[None] >= self._most
        else:
            others = self._open.total() - self._open[None]
            full = self._open[stranger] >= MOST_OF_ONE or others >= min(MOST_OF_OTHERS, self._most // 4)
        if full:
            who = "our own account" if stranger is None else account(stranger)
            self._log.report(f"http: connections from {who}", logging.WARNING, "refused, too many are open already")
        else:
            self._open[stranger] += 1
        return not full

    def leave(self, stranger: int | None) -> None:
        """Count a connection out that was let in."""
        self._open[stranger] -= 1
        self._open += Counter()  # forgets the accounts that have none

    def exhausted(self, error: BaseException) -> None:
        """Log that a connection cannot be accepted; it waits, and is accepted when that is possible again."""
        self._log.report("http: new connections", logging.ERROR, f"they wait because none can be accepted: {error}")


def _affordable() -> int:
    """Return how many connections the limit of descriptors has room for."""
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - Windows has none

        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if descriptors != resource.RLIM_INFINITY:
            return max(descriptors - _FOR_FILES, descriptors // 4)
    return MOST_CONNECTIONS

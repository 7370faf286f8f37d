"""The signals that end a program, handed on. A handler only hands on: nothing is raised into the middle of a commit."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

_NAMES: Final = ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK")


@contextlib.contextmanager
def signals_into(receive: Callable[[int], None]) -> Iterator[None]:
    """Call `receive` with each such signal; it must do no more than `SimpleQueue.put`, which a handler may call."""

    def handle(number: int, _frame: FrameType | None) -> None:
        receive(number)

    before = {number: signal.signal(number, handle) for name in _NAMES if (number := _wanted(name)) is not None}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wanted(name: str) -> signal.Signals | None:
    """Return the signal, unless this system has none, or whoever used `nohup` said that a hang-up is not for us."""
    number = signal.Signals.__members__.get(name)
    if number is None or (name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN):
        return None
    return number

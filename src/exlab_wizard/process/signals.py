"""The signals that end a program, passed on as they arrive.

The system may deliver a signal to any thread, and a main thread that waits for a lock does not notice it then. So the
handlers do nothing: the interpreter's wake-up socket carries the numbers to a thread that passes them on. Nothing is
raised into the middle of a commit.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

THREAD: Final = "signals"
"""It receives signals to the very end, so that none has its default effect."""
_NAMES: Final = ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK")
_MANY: Final = 64


@contextlib.contextmanager
def signals_into(receive: Callable[[int], None], *, last: bool = False) -> Iterator[None]:
    """Call `receive`, in a thread of its own, with the number of each such signal. For the main thread.

    `last`: a block that ends well is the end of the program, and signals are ignored from then on. One more of them
    would kill it a moment before its exit, and its parent would read that it died of a signal.
    """
    receiving, waking = socket.socketpair()
    waking.settimeout(0)
    numbers = [number for name in _NAMES if (number := _wanted(name)) is not None]

    def pass_on() -> None:
        while numbers_read := receiving.recv(_MANY):
            for number in numbers_read:
                if number in numbers:
                    receive(number)

    thread = threading.Thread(target=pass_on, name=THREAD, daemon=True)
    thread.start()
    wakeup = signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, _heard) for number in numbers}
    ignored = False
    try:
        yield
        ignored = last
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if ignored else handler)
        signal.set_wakeup_fd(wakeup)
        waking.close()
        thread.join()
        receiving.close()


def _heard(_number: int, _frame: FrameType | None) -> None:
    """Keep the signal from its default effect; the socket has it already."""


def _wanted(name: str) -> signal.Signals | None:
    """Return the signal, unless this system has none, or `nohup` has excluded hang-ups for us."""
    number = signal.Signals.__members__.get(name)
    if number is None or (name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN):
        return None
    return number

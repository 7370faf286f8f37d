"""Faults on command: system calls of a running program fail, wait or lose bytes while a rule is armed.

`preload/faults.c` does it inside the program; this side arms and lifts rules through a page of memory that both share,
and reads there how often each one hit. A fault that a test arms has to be proven by `Fault.hits`: what never hit shows
nothing.
"""

from __future__ import annotations

import mmap
import struct
from enum import IntEnum, IntFlag
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support.program import until

FOREVER: Final = -1
HANGING_SECONDS: Final = 3600.0
_RULES: Final = 8
_RULE: Final = struct.Struct("@IIIIiiqqqq456s")
_COUNTS: Final = struct.Struct("@qq")
_COUNTS_AT: Final = 40


class Call(IntFlag):
    """Classes of system calls."""

    OPEN = 1 << 0
    READ = 1 << 1
    WRITE = 1 << 2
    FSYNC = 1 << 3
    """fsync, fdatasync and syncfs."""
    RENAME = 1 << 4
    MKDIR = 1 << 5
    UNLINK = 1 << 6
    """rmdir as well."""
    STAT = 1 << 7
    LIST = 1 << 8
    LINK = 1 << 9
    DRESS = 1 << 10
    """Setting times and permissions."""
    TRUNCATE = 1 << 11
    CLOSE = 1 << 12
    ROOM = 1 << 13
    THREAD = 1 << 14
    LOCK = 1 << 15
    CLOCK = 1 << 16
    """Reading the wall clock; `shift_s` says by how much it is set."""


class Effect(IntEnum):
    """What happens besides the error."""

    FAIL = 0
    SHORT = 1
    """Half of what was asked for is read or written."""
    ZEROS = 2
    """Zeros are written in the place of the data, and success is reported: a page that was lost in a cache."""
    AFTERWARDS = 3
    """All is done, and then an error is reported."""
    LOSE = 4
    """The flush fails, and the last 64 KiB of the file are zeros from then on: the kernel took lost pages for clean."""


class Fault:
    """An armed rule. Leaving the `with` block lifts it."""

    def __init__(self, page: mmap.mmap, number: int) -> None:
        self._page, self._at, self._lifted = page, number * _RULE.size, False

    @property
    def hits(self) -> int:
        """Return how many calls the rule changed."""
        hits: int = _COUNTS.unpack_from(self._page, self._at + _COUNTS_AT)[1]
        return hits

    def has_hit(self, times: int = 1, timeout: float = 20.0) -> None:
        """Return when the rule changed at least so many calls; fail when it does not."""
        until(lambda: self.hits >= times, timeout, f"the fault to hit {times} times")

    def lift(self) -> None:
        """Let the calls through from now on; calls that it keeps waiting go on. Twice is harmless."""
        if not self._lifted:
            self._page[self._at : self._at + 4] = struct.pack("@I", 0)
        self._lifted = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.lift()


class Faults:
    """The rules of one program; `environment` is what the program is to be started with."""

    def __init__(self, library: Path, control: Path) -> None:
        control.write_bytes(bytes(mmap.PAGESIZE))
        with control.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self.environment = {"LD_PRELOAD": str(library), "EXLAB_TEST_FAULTS": str(control)}

    def arm(  # noqa: PLR0913 - one name for each thing that a rule may say
        self,
        calls: Call,
        pattern: Path | str,
        error: int = 0,
        *,
        skip: int = 0,
        times: int = FOREVER,
        effect: Effect = Effect.FAIL,
        delay_s: float = 0.0,
        shift_s: int = 0,
    ) -> Fault:
        """Change `times` calls on paths that match the shell pattern, after the first `skip` of them."""
        for number in range(_RULES):
            at = number * _RULE.size
            if not struct.unpack_from("@I", self._page, at)[0]:
                delay_ms = int(delay_s * 1000)
                rule = _RULE.pack(0, calls, effect, delay_ms, error, shift_s, skip, times, 0, 0, str(pattern).encode())
                self._page[at : at + _RULE.size] = rule
                self._page[at : at + 4] = struct.pack("@I", 1)
                return Fault(self._page, number)
        msg = "too many faults at once"
        raise AssertionError(msg)

    def set_clock(self, shift_s: int) -> Fault:
        """Set the wall clock of the program by so many seconds, until the fault is lifted."""
        return self.arm(Call.CLOCK, "", shift_s=shift_s)

    def lift_all(self) -> None:
        """Let every call through."""
        for number in range(_RULES):
            Fault(self._page, number).lift()

"""What the recorder wrote down, as a list of effects in the order in which they happened.

One record is one call that succeeded. The log is complete or it is no log: a half record is refused.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from posixpath import normpath
from typing import Final

_HEADER: Final = struct.Struct("=QqIIIIQ")


class Call(StrEnum):
    """The kinds of record, by the letter that `preload/record.c` gives them."""

    CREATE = "C"
    WRITE = "W"
    TRUNCATE = "T"
    META = "M"
    """Permissions and time of last change, as they are now."""
    MKDIR = "K"
    SYMLINK = "Y"
    LINK = "L"
    RENAME = "R"
    UNLINK = "U"
    RMDIR = "X"
    FSYNC = "F"
    FDATASYNC = "D"
    SYNCFS = "S"


SYNCS: Final = frozenset({Call.FSYNC, Call.FDATASYNC, Call.SYNCFS})
NAMES: Final = frozenset({Call.LINK, Call.RENAME, Call.UNLINK, Call.RMDIR})


@dataclass(frozen=True, slots=True)
class Record:
    """One effect. `inode` is the kernel's number; `offset` is also a new length, or a time in ns."""

    call: Call
    inode: int = 0
    offset: int = 0
    mode: int = 0
    path: str = ""
    other: str = ""
    data: bytes = b""

    def __str__(self) -> str:
        where = " ".join(word for word in (self.path, self.other) if word) or f"inode {self.inode}"
        return f"{self.call.name.lower()} {where} {self.offset}+{len(self.data)}"


def read_log(log: Path) -> list[Record]:
    """Return every record of a log."""
    content, at = log.read_bytes(), 0
    records: list[Record] = []
    while at < len(content):
        inode, offset, kind, mode, path, other, size = _HEADER.unpack_from(content, at)
        at += _HEADER.size
        ends = (at + path, at + path + other, at + path + other + size)
        assert ends[-1] <= len(content), "the log ends in the middle of a record"
        call = Call(chr(kind))
        first, second = (content[at : ends[0]].decode(errors="surrogateescape"), content[ends[0] : ends[1]].decode())
        records.append(
            Record(
                call,
                inode,
                offset,
                mode,
                normpath(first) if first else "",
                second if call is Call.SYMLINK or not second else normpath(second),
                content[ends[1] : ends[2]],
            )
        )
        at = ends[-1]
    return records

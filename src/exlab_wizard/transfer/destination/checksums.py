"""The text format of `sha256sum`, so that anyone can check a run without this program.

One line per file: hash, two spaces, name. A name with backslash, newline or carriage return is escaped and its line
begins with a backslash, as GNU coreutils 9 does. Names are bytes: what is not UTF-8 survives.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

_LINE: Final = re.compile(rb"(\\?)([0-9a-f]{64}) [ *](.+)", re.DOTALL)
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)
_UNESCAPE: Final = {b"\\": b"\\", b"n": b"\n", b"r": b"\r"}


def format_checksums(hashes: Mapping[str, str]) -> Iterator[bytes]:
    """Yield one line per file of `hashes` (path to SHA-256 in hexadecimal), sorted by the bytes of the path."""
    for name, path in sorted((os.fsencode(path), path) for path in hashes):
        shown = b"./-" if name == b"-" else name  # a bare dash would make sha256sum read its standard input
        escaped = shown.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
        mark = b"\\" if escaped != shown else b""
        yield mark + hashes[path].encode("ascii") + b"  " + escaped + b"\n"


def parse_checksums(lines: Iterable[bytes]) -> dict[str, str]:
    """Return path to SHA-256 of the lines of such a file.

    Raises:
        ValueError: a line is none; the message quotes it.
    """
    hashes: dict[str, str] = {}
    for line in lines:
        if not (content := line.removesuffix(b"\n")):
            continue
        match = _LINE.fullmatch(content)
        if match is None:
            msg = f"not a line of sha256sum: {content!r}"
            raise ValueError(msg)
        name = _ESCAPED.sub(lambda found: _UNESCAPE[found[1]], match[3]) if match[1] else match[3]
        hashes[os.fsdecode(name.removeprefix(b"./"))] = match[2].decode("ascii")
    return hashes

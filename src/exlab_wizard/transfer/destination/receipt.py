"""The two files of our own inside a published run: the checksum list and the receipt.

The list has the text format of `sha256sum`, so that anyone can check a run without this program. The receipt (owner,
what was verified, when) is written last and read first: a final folder without our receipt belongs to someone else.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from exlab_wizard import __version__
from exlab_wizard.transfer.files.tree import Tree
from exlab_wizard.transfer.ports import TransferRequest
from exlab_wizard.transfer.source.manifest import RECEIPT, RESERVED, Manifest

SCHEMA: Final = 1
LARGEST_BYTES: Final = 4 << 20
_LINE: Final = re.compile(rb"(\\?)([0-9a-f]{64}) [ *](.+)", re.DOTALL)
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)
_UNESCAPE: Final = {b"\\": b"\\", b"n": b"\n", b"r": b"\r"}


@dataclass(frozen=True, slots=True)
class Owner:
    """The part of a receipt by which a final folder is recognised; it stays readable across versions."""

    job_key: str
    host: str
    run_path: str
    files: int
    symlinks: int
    folders: int
    checksums_sha256: str


def format_receipt(request: TransferRequest, manifest: Manifest, checksums_sha256: str, started_at: datetime) -> bytes:
    """Return the receipt of a run that is verified now: JSON in ASCII, so that names which are no UTF-8 survive.

    Paths are text in the form of `os.fsdecode`; times are UTC, ISO 8601; sizes are bytes.
    """
    facts = {
        "job_id": request.job_id,
        "job_key": request.job_key,
        "host": request.host,
        "run_path": str(request.run_path),
        "destination": str(request.destination),
        "final_parts": request.final_parts,
        "files": len(manifest.files),
        "bytes": sum(file.size for file in manifest.files),
        "symlinks": len(manifest.links),
        "folders": len(manifest.folders),
        "skipped": sorted(set(manifest.skipped) & RESERVED),
        "checksums_sha256": checksums_sha256,
        "started_at": started_at.isoformat(timespec="milliseconds"),
        "verified_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "program_version": __version__,
        "schema": SCHEMA,
    }
    return (json.dumps(facts, indent=1, ensure_ascii=True) + "\n").encode("ascii")


def read_owner(tree: Tree) -> Owner | None:
    """Return the owner by the receipt in the final folder `tree`, None when there is no valid one.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        found = read_receipt(tree)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    texts = [found.get(key) for key in ("job_key", "host", "run_path", "checksums_sha256")]
    job_key, host, run_path, checksums = (text if isinstance(text, str) else "" for text in texts)
    counts = [found.get(key) for key in ("files", "symlinks", "folders")]
    files, symlinks, folders = (count if isinstance(count, int) else -1 for count in counts)
    return Owner(job_key, host, run_path, files, symlinks, folders, checksums)


def read_receipt(tree: Tree) -> dict[str, object]:
    """Return everything that the receipt in the final folder `tree` says.

    Raises:
        OSError: there is none, or it cannot be read.
        ValueError: it is not a receipt.
    """
    with open(tree.open(RECEIPT, os.O_RDONLY), "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        content = file.read(LARGEST_BYTES + 1)
    found = json.loads(content) if len(content) <= LARGEST_BYTES else None
    if not isinstance(found, dict):
        msg = "this is not a receipt"
        raise ValueError(msg)  # noqa: TRY004 - the file's content is wrong, not a caller's type
    return found


def format_checksums(hashes: Mapping[str, str]) -> Iterator[bytes]:
    """Yield one line per file of `hashes` (path to SHA-256 in hexadecimal), sorted by the bytes of the path.

    A line is hash, two spaces, name. A name with backslash, newline or carriage return is escaped and its line begins
    with a backslash, as GNU coreutils 9 does. Names are bytes: what is not UTF-8 survives.
    """
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

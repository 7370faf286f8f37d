"""The receipt inside a published run: its owner, what was verified, and when.

It is written last and read first: a final folder without our receipt belongs to someone else.
"""

from __future__ import annotations

import builtins
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from exlab_wizard.transfer.files.tree import Tree
from exlab_wizard.transfer.source.manifest import RECEIPT

SCHEMA: Final = 1
LARGEST_BYTES: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Receipt:
    """Paths are text in the form of `os.fsdecode`, escaped by JSON; times are UTC, ISO 8601; sizes are bytes."""

    job_id: int
    job_key: str
    host: str
    run_path: str
    destination: str
    final_parts: list[str]
    files: int
    bytes: int
    symlinks: int
    folders: int
    skipped: list[str]
    checksums_sha256: str
    started_at: str
    verified_at: str
    program_version: str
    schema: int = SCHEMA

    def encoded(self) -> builtins.bytes:
        """Return the file's content: JSON in ASCII, so that names which are no UTF-8 survive as escapes."""
        return (json.dumps(asdict(self), indent=1, ensure_ascii=True) + "\n").encode("ascii")


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


def read_owner(tree: Tree) -> Owner | None:
    """Return the owner by the receipt in the final folder `tree`, None when there is no valid one.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        found = _read(tree)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    texts = [found.get(key) for key in ("job_key", "host", "run_path", "checksums_sha256")]
    job_key, host, run_path, checksums = (text if isinstance(text, str) else "" for text in texts)
    counts = [found.get(key) for key in ("files", "symlinks", "folders")]
    files, symlinks, folders = (count if isinstance(count, int) else -1 for count in counts)
    return Owner(job_key, host, run_path, files, symlinks, folders, checksums)


def read_receipt(final: Path) -> dict[str, object]:
    """Return everything that the receipt in the folder `final` says.

    Raises:
        OSError: there is none, or it cannot be read.
        ValueError: it is not a receipt.
    """
    with Tree(final) as tree:
        return _read(tree)


def _read(tree: Tree) -> dict[str, object]:
    with open(tree.open(RECEIPT, os.O_RDONLY), "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        content = file.read(LARGEST_BYTES + 1)
    found = json.loads(content) if len(content) <= LARGEST_BYTES else None
    if not isinstance(found, dict):
        msg = "this is not a receipt"
        raise ValueError(msg)  # noqa: TRY004 - the file's content is wrong, not a caller's type
    return found

"""Runs to copy. Every block is random and unlike any other: repetition would flatter whoever compresses or compares."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Final

_BLOCK: Final = 8 << 20


def one_large(folder: Path, mib: int = 2048) -> None:
    """Write one file."""
    with (folder / "large.bin").open("wb") as file:
        for number in range((mib << 20) // _BLOCK):
            file.write(random.Random(number).randbytes(_BLOCK))


def many(folder: Path, count: int, size: int) -> None:
    """Write `count` files of `size` bytes, 200 to a folder."""
    for number in range(count):
        inner = folder / f"d{number // 200:03d}"
        inner.mkdir(exist_ok=True)
        (inner / f"f{number:06d}.dat").write_bytes(random.Random(number).randbytes(size))


def warm(folder: Path) -> None:
    """Read everything, so that all find the source in the page cache, and let no write-back be pending."""
    for path in files(folder):
        path.read_bytes()
    os.sync()


def empty(folder: Path) -> None:
    """Give the room back without deleting: ext4 creates files slowly for minutes after a big delete."""
    for path in files(folder):
        os.truncate(path, 0)
    os.sync()


def files(folder: Path) -> list[Path]:
    """Return the regular files below `folder`."""
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]

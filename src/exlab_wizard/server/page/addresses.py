"""Paths in URLs and forms: any bytes as ASCII, and back. Pure."""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import quote, unquote_to_bytes

LONGEST: Final = 12_288
"""In characters: each byte of the longest path takes three."""


def address(path: object) -> str:
    """Return `path`, in the form of `os.fsdecode`, as ASCII for a form; for a query, quote it again."""
    return quote(os.fsencode(str(path)), safe="/")


def path_of(address: str) -> str:
    """Return the path that `address` was made from.

    Raises:
        ValueError: it is longer than any path.
    """
    if len(address) > LONGEST:
        msg = "longer than any path"
        raise ValueError(msg)
    return os.fsdecode(unquote_to_bytes(address))

"""Names from disks and messages from systems, which may hold anything, in a form that can be shown. Pure."""

from __future__ import annotations

from typing import Final

_BYTE: Final = range(0xDC80, 0xDD00)
"""How Python writes a byte of a name that is not text."""


def visible(text: str) -> str:
    r"""Return `text` with what cannot be printed as escapes: `\n`, `\u202e`, and `\xNN` for a byte that is not text."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def run_name(path: str, separators: str = "/\\") -> str:
    """Return the last part of a run's path, visible; the whole path where there is none."""
    for separator in separators:
        path = path.replace(separator, "/")
    return visible(path.rstrip("/").rpartition("/")[2] or path)


def shortened(text: str, length: int) -> str:
    """Return `text` with its middle left out where it is longer than `length`."""
    return text if len(text) <= length else f"{text[: length // 2]}…{text[-length // 2 :]}"


def sentence(text: str) -> str:
    """Return `text` with a capital first letter."""
    return f"{text[:1].upper()}{text[1:]}"


def _escaped(char: str) -> str:
    code = ord(char)
    if code in _BYTE:
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")

"""The checksum file must survive any name."""

from __future__ import annotations

import os

import pytest

from exlab_wizard.transfer.destination.receipt import format_checksums, parse_checksums

HASH = "ab" * 32


@pytest.mark.parametrize(
    "name",
    ["plain", "with space", " lead", "new\nline", "cr\r", "back\\slash", "\\n", "-", "*x", os.fsdecode(b"\xff\xe9")],
)
def test_any_name_comes_back_from_the_checksum_file(name: str) -> None:
    lines = list(format_checksums({name: HASH, "other": HASH}))
    assert parse_checksums(lines) == {name: HASH, "other": HASH}
    assert all(line.count(b"\n") == 1 for line in lines)


def test_escaped_lines_are_those_of_gnu_coreutils() -> None:
    assert list(format_checksums({"a\\b\nc\rd": HASH})) == [b"\\" + HASH.encode() + b"  a\\\\b\\nc\\rd\n"]


def test_damaged_checksum_file_is_not_taken_for_an_empty_one() -> None:
    with pytest.raises(ValueError, match="not a line"):
        parse_checksums([b"garbage\n"])

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from exlab_wizard.process.server_json import ServerFileError, read_server_file, require_server_file

GOOD = {"port": 40_001, "pid": 4711, "started_at": "2026-01-02T03:04:05.000Z", "token": "t" * 43}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "server.json"
    path.write_text(json.dumps(GOOD), "utf-8")
    path.chmod(0o600)
    return path


def test_what_the_application_wrote_is_read_and_the_token_is_never_shown(file: Path) -> None:
    location = require_server_file(file)
    assert read_server_file(file) == location
    assert (location.port, location.url, location.token) == (40_001, "http://127.0.0.1:40001/", "t" * 43)
    assert location.token not in repr(location)


@pytest.mark.parametrize(
    "text",
    [
        "",
        json.dumps(GOOD)[:40],
        "\0" * 200,
        "[]",
        "null",
        "[" * 4000,
        json.dumps({**GOOD, "port": "40001"}),
        json.dumps({**GOOD, "port": 0}),
        json.dumps({**GOOD, "port": 70_000}),
        json.dumps({**GOOD, "token": ""}),
        json.dumps({**GOOD, "token": "x\r\nHost: elsewhere"}),
        json.dumps({name: value for name, value in GOOD.items() if name != "token"}),
        json.dumps({**GOOD, "more": "x" * 10_000}),
    ],
)
def test_a_file_that_is_half_written_or_garbage_is_no_address(file: Path, text: str) -> None:
    file.write_text(text, "utf-8")
    with pytest.raises(ServerFileError, match=r"server\.json"):
        require_server_file(file)
    assert read_server_file(file) is None


def other_bytes(file: Path) -> None:
    file.write_bytes(b"\xff\xfe{}")


def missing(file: Path) -> None:
    file.unlink()


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


def readable_by_others(file: Path) -> None:
    file.chmod(0o644)


def writable_by_the_group(file: Path) -> None:
    file.chmod(0o620)


@pytest.mark.parametrize("spoil", [other_bytes, missing, a_folder, a_pipe, readable_by_others, writable_by_the_group])
def test_a_file_that_is_not_ours_alone_is_not_trusted(file: Path, spoil: Callable[[Path], None]) -> None:
    spoil(file)
    with pytest.raises(ServerFileError, match=r"server\.json"):
        require_server_file(file)


def test_a_file_of_another_account_is_not_trusted(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
    with pytest.raises(ServerFileError, match="another account"):
        require_server_file(file)

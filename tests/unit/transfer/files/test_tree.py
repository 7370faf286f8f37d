"""Partial copies of cancelled jobs do not pile up on the NAS, and nobody else's are touched."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from exlab_wizard.errors import TransferWaitError
from exlab_wizard.transfer.destination.marker import create_marker, probe
from exlab_wizard.transfer.destination.publish import INCOMING, make_folders, remove_empty, remove_leftovers
from exlab_wizard.transfer.failures import FailureClassifier

OURS = "0123456789abcdef"


def partial(nas: Path, key: str) -> Path:
    folder = nas / INCOMING / key
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "half.raw").write_bytes(b"half")
    (folder / "link").symlink_to("/nowhere")
    return folder


@pytest.fixture
def nas(tmp_path: Path) -> Path:
    folder = tmp_path / "nas"
    folder.mkdir()
    create_marker(folder, "nas")
    return folder


def test_the_partial_copy_of_a_cancelled_job_is_removed_and_no_other(nas: Path, tmp_path: Path) -> None:
    outside = tmp_path / "precious"
    outside.mkdir()
    (outside / "data").write_bytes(b"data")
    over, pending = partial(nas, f"{OURS}-7"), partial(nas, f"{OURS}-8")
    (over / "way-out").symlink_to(outside)
    others = partial(nas, "fedcba9876543210-7"), partial(nas, f"{OURS}-7-x"), partial(nas, "by-hand")
    assert remove_leftovers(nas, OURS, lambda job: job == 7) == [7]
    assert not over.exists()
    assert pending.exists()
    assert all(folder.exists() for folder in others)
    assert (outside / "data").read_bytes() == b"data"


def test_the_incoming_folder_goes_with_the_last_of_them(nas: Path) -> None:
    partial(nas, f"{OURS}-7")
    remove_leftovers(nas, OURS, lambda _: True)
    assert [path.name for path in nas.iterdir()] == [".exlab-destination"]
    assert remove_leftovers(nas, OURS, lambda _: True) == []


def test_nothing_is_removed_from_an_empty_mount_point(nas: Path) -> None:
    folder = partial(nas, f"{OURS}-7")
    (nas / ".exlab-destination").unlink()
    with pytest.raises(TransferWaitError):
        remove_leftovers(nas, OURS, lambda _: True)
    assert folder.exists()


def test_a_job_that_ends_does_not_take_the_incoming_folder_from_one_that_begins(nas: Path) -> None:
    failures = FailureClassifier(nas / "run", nas, check_online=lambda: probe(nas))

    def begin_and_end(job: int) -> int:
        for _ in range(400):
            folder = make_folders(nas, (INCOMING, f"{OURS}-{job}"), failures)
            folder.rmdir()
            remove_empty(folder.parent)
        return job

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(begin_and_end, range(4))) == [0, 1, 2, 3]

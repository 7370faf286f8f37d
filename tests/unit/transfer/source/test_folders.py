"""A folder is chosen below its root, and no name, link or exchange leads out of it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from exlab_wizard.transfer.source.folders import list_folder, steps_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "a" / "run-1").mkdir(parents=True)
    (root / "a" / "run-1" / "data.raw").touch()
    (root / ".hidden").mkdir()
    (root / "file.txt").touch()
    (tmp_path / "secret" / "inside").mkdir(parents=True)
    (root / "out").symlink_to(tmp_path / "secret")
    return root


def test_a_listing_shows_folders_and_counts_the_rest(root: Path) -> None:
    listing = list_folder(root)
    assert [folder.name for folder in listing.folders] == ["a"]
    assert (listing.files, listing.hidden, listing.links, listing.complete) == (1, 1, 1, True)
    assert [folder.name for folder in list_folder(root, "a").folders] == ["run-1"]


def test_the_newest_folder_comes_first(root: Path) -> None:
    for number, name in enumerate(["b", "c", "d"]):
        (root / name).mkdir()
        os.utime(root / name, (1_900_000_000 + number, 1_900_000_000 + number))
    assert [folder.name for folder in list_folder(root).folders] == ["d", "c", "b", "a"]


@pytest.mark.parametrize(
    "below", ["..", "a/..", "a/../..", "/etc", "a//run-1", ".", "a/.", "a\0", "x" * 256, "/".join(["a"] * 65)]
)
def test_what_is_no_plain_way_down_is_refused(root: Path, below: str) -> None:
    with pytest.raises(ValueError, match=r"is not a path below|folders deep"):
        list_folder(root, below)


@pytest.mark.parametrize("below", ["out", "out/inside"])
def test_a_link_is_not_followed(root: Path, below: str) -> None:
    with pytest.raises(OSError, match=r"out|Not a directory|symbolic"):
        list_folder(root, below)


def test_the_root_itself_may_be_a_link_of_the_administrator(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert [folder.name for folder in list_folder(tmp_path / "link").folders] == ["a"]


def test_what_is_missing_or_no_folder_is_an_error(root: Path) -> None:
    for below in ("gone", "file.txt"):
        with pytest.raises(OSError, match=r"No such|Not a directory"):
            list_folder(root, below)


def test_a_huge_folder_is_looked_at_in_part_and_says_so(root: Path) -> None:
    for number in range(30):
        (root / "a" / f"run-{number}").mkdir(exist_ok=True)
    listing = list_folder(root, "a", most=10)
    assert (len(listing.folders), listing.complete) == (10, False)
    assert list_folder(root, "a", most=30).complete


def test_names_of_any_kind_are_listed_and_entered(root: Path) -> None:
    for name in ("caf\udce9", "two\nlines", "<b>", "\u202eevil"):
        (root / "a" / name / "in").mkdir(parents=True)
        assert [folder.name for folder in list_folder(root, f"a/{name}").folders] == ["in"]


def test_a_folder_that_turns_into_a_link_meanwhile_never_leads_out(root: Path, tmp_path: Path) -> None:
    turning, spare = root / "turning", root / "spare"
    turning.mkdir()
    (turning / "good").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    over = threading.Event()

    def exchange() -> None:
        while not over.is_set():
            turning.rename(spare)
            (tmp_path / "link").rename(turning)
            turning.rename(tmp_path / "link")
            spare.rename(turning)

    thread = threading.Thread(target=exchange)
    thread.start()
    seen: set[str] = set()
    try:
        for look in range(200_000):
            if look > 2_000 and {"good", "an error"} <= seen:
                break
            try:
                seen |= {folder.name for folder in list_folder(root, "turning").folders}
            except OSError:
                seen.add("an error")
    finally:
        over.set()
        thread.join()
    assert "inside" not in seen
    assert {"good", "an error"} <= seen


def test_steps_are_names(root: Path) -> None:
    assert steps_of("") == ()
    assert steps_of("a/b c/ü") == ("a", "b c", "ü")
    assert root.exists()

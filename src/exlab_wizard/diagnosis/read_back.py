"""Reads one published run back whole and compares it with everything that is known of it.

Nothing is changed; every hash is of bytes that came from the destination just now.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exlab_wizard.domain.files import FileRecord, FileState
from exlab_wizard.domain.text.amounts import number, plural
from exlab_wizard.errors import ExlabError
from exlab_wizard.transfer.copy.read_back import read_hash
from exlab_wizard.transfer.destination.marker import probe
from exlab_wizard.transfer.destination.receipt import Owner, parse_checksums, read_owner
from exlab_wizard.transfer.failures import FailureClassifier
from exlab_wizard.transfer.files.tree import Tree
from exlab_wizard.transfer.ports import TransferControl
from exlab_wizard.transfer.source.manifest import CHECKSUMS, RESERVED, scan

MISSING: Final = "it is missing"
ALTERED: Final = "its content differs from what was verified"
UNLISTED: Final = "it was not verified: no checksum list names it"


@dataclass(frozen=True, slots=True)
class Known:
    """What the database knows of a run: the rows of the job that published it last, and of its other jobs.

    `job_keys` are all its jobs. `in_between`: one of them is unfinished, or a later one was interrupted, failed or was
    cancelled, so the folder may be between two steps.
    """

    rows: Mapping[str, FileRecord]
    others: Mapping[str, FileRecord]
    job_key: str
    job_keys: frozenset[str]
    in_between: bool


@dataclass(frozen=True, slots=True)
class _Published:
    """A folder on a destination; `found` is path to size of every file but our own two."""

    root: Path
    owner: Owner | None
    listed: dict[str, str]
    list_sha256: str
    found: dict[str, int]
    links: int
    folders: int

    def hash_of(self, path: str) -> str:
        with Tree(self.root) as tree:
            return read_hash(tree, path, self.found[path], TransferControl())


def _inspected(root: Path) -> _Published:
    """Inspect `root` without reading any of the run's own bytes; an invalid checksum list is a ValueError."""
    with Tree(root) as tree:
        manifest = scan(tree, FailureClassifier(root, root, check_online=lambda: probe(root)), lambda: None)
        owner = read_owner(tree)
        with open(tree.open(CHECKSUMS, os.O_RDONLY), "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            content = file.read()
    listed = parse_checksums(content.split(b"\n"))
    found = {file.path: file.size for file in manifest.files}
    links, folders = len(manifest.links), len(manifest.folders)
    return _Published(root, owner, listed, hashlib.sha256(content).hexdigest(), found, links, folders)


def read_back(final: Path, known: Known, moved: Callable[[int], None]) -> Iterator[tuple[Path, str]]:
    """Yield how the folder `final` differs from `known`: the path of the folder or of the file in it, and a sentence.

    `moved` is called with the bytes that were read.
    """
    try:
        published = _inspected(final)
    except (ExlabError, OSError, ValueError) as error:
        yield final, f"it cannot be read: {error}" if final.is_dir() else MISSING
        return
    if fault := _receipt(published, known):
        yield published.root, fault
    for path in sorted({*known.rows, *published.listed}):
        detail = _file(published, known.rows.get(path), path, moved)
        if detail:
            yield final / path, detail
    for path in sorted(published.found.keys() - published.listed.keys() - known.rows.keys()):
        if not _is_on_its_way(published, known, path):
            yield final / path, UNLISTED


def _receipt(published: _Published, known: Known) -> str:
    """Return the fault of the receipt; empty if there is none."""
    owner = published.owner
    if owner is None:
        return "it has no receipt"
    if owner.job_key not in known.job_keys:
        return f"its receipt belongs to {owner.run_path!r}, job {owner.job_key}"
    if owner.checksums_sha256 != published.list_sha256 and not known.in_between:
        return "its checksum list does not match its receipt"
    if owner.job_key == known.job_key and owner.files != len(known.rows):
        return f"its receipt counts {plural(owner.files, 'file')}, the database {number(len(known.rows))}"
    if (published.links, published.folders) < (owner.symlinks, owner.folders):
        return "it lacks symlinks or folders that its receipt counts"
    return ""


def _file(published: _Published, row: FileRecord | None, path: str, moved: Callable[[int], None]) -> str:
    """Return the fault of one file; empty if there is none."""
    listed = published.listed.get(path)
    if path not in published.found:
        return MISSING
    if row is not None and (row.state is not FileState.VERIFIED or row.sha256 != listed):
        return f"its checksum is {listed} in the list, but {row.sha256} ({row.state}) in the database"
    if row is not None and row.size != published.found[path]:
        return f"it has {published.found[path]} bytes, but {row.size} were verified"
    try:
        found = published.hash_of(path)
    except OSError as error:
        return f"it cannot be read: {error}"
    moved(published.found[path])
    return "" if found == listed else ALTERED


def _is_on_its_way(published: _Published, known: Known, path: str) -> bool:
    """Return whether a file that no list names is our own, or verified by a job that has not yet written its list."""
    row = known.others.get(path)
    if row is not None and row.state is FileState.VERIFIED:
        return published.hash_of(path) == row.sha256
    return known.in_between and path.removesuffix(".new") in RESERVED

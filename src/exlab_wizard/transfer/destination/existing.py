"""Reads a published run back: its receipt, its checksum list and its files.

Nothing is changed; every hash is of bytes that came from the destination just now.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from exlab_wizard.transfer.copy.read_back import read_hash
from exlab_wizard.transfer.destination.marker import probe
from exlab_wizard.transfer.destination.receipt import Owner, parse_checksums, read_owner
from exlab_wizard.transfer.failures import FailureClassifier
from exlab_wizard.transfer.files.tree import Tree
from exlab_wizard.transfer.ports import TransferControl
from exlab_wizard.transfer.source.manifest import CHECKSUMS, scan


@dataclass(frozen=True, slots=True)
class Published:
    """A folder on a destination; `found` is path to size of every file but our own two."""

    root: Path
    owner: Owner | None
    listed: dict[str, str]
    list_sha256: str
    found: dict[str, int]
    links: int
    folders: int

    @classmethod
    def at(cls, root: Path) -> Self:
        """Inspect the folder `root` without reading any of the run's own bytes.

        Raises:
            OSError: it is missing or cannot be read.
            TransferError: something in it cannot be read, or is neither file, folder nor symlink.
            ValueError: the checksum list is invalid.
        """
        with Tree(root) as tree:
            manifest = scan(tree, FailureClassifier(root, root, check_online=lambda: probe(root)), lambda: None)
            owner = read_owner(tree)
            with open(tree.open(CHECKSUMS, os.O_RDONLY), "rb") as file:  # noqa: PTH123 - a descriptor, not a path
                content = file.read()
        listed = parse_checksums(content.split(b"\n"))
        found = {file.path: file.size for file in manifest.files}
        links, folders = len(manifest.links), len(manifest.folders)
        return cls(root, owner, listed, hashlib.sha256(content).hexdigest(), found, links, folders)

    def hash_of(self, path: str, control: TransferControl) -> str:
        """Return the SHA-256 of one of the files that were found.

        Raises:
            OSError: it cannot be read.
        """
        with Tree(self.root) as tree:
            return read_hash(tree, path, self.found[path], control)

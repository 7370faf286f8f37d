"""Handles a final path that exists: which run owns it, and which of its files are equal to ours."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from exlab_wizard.errors import TransferError
from exlab_wizard.transfer.copy.read_back import read_hash
from exlab_wizard.transfer.destination.publish import conflict
from exlab_wizard.transfer.destination.receipt import read_owner
from exlab_wizard.transfer.failures import FailureClassifier, changing
from exlab_wizard.transfer.files.tree import Tree
from exlab_wizard.transfer.ports import TransferControl, TransferRequest
from exlab_wizard.transfer.source.manifest import Manifest, SourceFile, is_same


def is_known_run(final: Path, request: TransferRequest, failures: FailureClassifier) -> bool:
    """Return whether `final` holds an earlier state of this very run; False when the path is free.

    Raises:
        TransferError: conflict when it belongs to another run or workstation, or has no receipt.
        TransferWaitError: the destination is offline.
    """
    with failures.target("Cannot read", final):
        try:
            status = final.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        if not stat.S_ISDIR(status.st_mode):
            raise conflict(final, f"It is not a folder, and {str(request.run_path)!r} would be published there.")
        with Tree(final) as tree:
            with tree.entries("") as entries:
                if next(entries, None) is None:
                    return False
            owner = read_owner(tree)
    if owner is None:
        raise conflict(final, f"It has no receipt, and {str(request.run_path)!r} would be published there.")
    if (owner.host, owner.run_path) != (request.host, str(request.run_path)):
        what = (
            f"It contains the run {owner.run_path!r} of {owner.host!r},"
            f" and {str(request.run_path)!r} of {request.host!r} would be published there."
        )
        raise conflict(final, what)
    return True


class Comparison:
    """Compares a run with what was published of it before; nothing is changed on either side."""

    def __init__(self, source: Tree, final: Tree, control: TransferControl, failures: FailureClassifier) -> None:
        self._source, self._final, self._control, self._failures = source, final, control, failures

    def published(self, manifest: Manifest) -> dict[str, str]:
        """Return path to SHA-256 of the files at the final path that are equal byte by byte.

        Raises:
            TransferError: conflict when something differs there.
            TransferWaitError: the run is being changed, or the destination is offline.
            StoppedError: a stop was requested.
        """
        for folder in manifest.folders:
            if (there := self._find(folder.path)) and not stat.S_ISDIR(there.st_mode):
                raise self._differs(folder.path)
        for link in manifest.links:
            if there := self._find(link.path):
                with self._failures.target("Cannot read", self._final.root / link.path):
                    if not stat.S_ISLNK(there.st_mode) or os.fsdecode(self._final.readlink(link.path)) != link.target:
                        raise self._differs(link.path)
        equal: dict[str, str] = {}
        with ThreadPoolExecutor(1, thread_name_prefix="compare") as pool:
            for file in manifest.files:
                self._control.check()
                if there := self._find(file.path):
                    equal[file.path] = self._compare(file, there, pool)
        return equal

    def _compare(self, file: SourceFile, there: os.stat_result, pool: ThreadPoolExecutor) -> str:
        if not stat.S_ISREG(there.st_mode) or there.st_size != file.size:
            raise self._differs(file.path)
        ours = pool.submit(self._source_hash, file)
        with self._failures.target("Cannot read back", self._final.root / file.path):
            theirs = read_hash(self._final, file.path, file.size, self._control)
        if ours.result() != theirs:
            raise self._differs(file.path)
        return theirs

    def _source_hash(self, file: SourceFile) -> str:
        with self._failures.source("Cannot read", file.path):
            sha256 = read_hash(self._source, file.path, file.size, self._control, cached=True)
            if not is_same(file, self._source.lstat(file.path)):
                raise changing(str(self._source.root / file.path))
        return sha256

    def _find(self, path: str) -> os.stat_result | None:
        with self._failures.target("Cannot read", self._final.root / path):
            return self._final.find(path)

    def _differs(self, path: str) -> TransferError:
        return conflict(self._final.root / path, "It differs from the file of the same name in the run.")

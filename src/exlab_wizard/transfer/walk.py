"""The walk of one run to a mounted destination: probe, scan, copy aside, read back, publish.

The run's folder is never changed. Until the one rename at the end nothing is visible at the final path; from then on
all of it is. Whatever cuts it off, the next walk resumes from what checkpoints and destination agree on.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from exlab_wizard.crash_points import Point, reached
from exlab_wizard.domain.files import FileState
from exlab_wizard.domain.job import ErrorKind
from exlab_wizard.domain.outcome import Completed
from exlab_wizard.durable import sync_folder
from exlab_wizard.errors import TransferError
from exlab_wizard.transfer.copy.bandwidth import TokenBucket
from exlab_wizard.transfer.copy.context import Attempt, tolerate_unsupported
from exlab_wizard.transfer.copy.incoming import clear_unknown, dress_folders, fill, finish_folders
from exlab_wizard.transfer.copy.ledger import Ledger
from exlab_wizard.transfer.copy.read_back import read_hash
from exlab_wizard.transfer.destination import publish
from exlab_wizard.transfer.destination.marker import MARKER, probe
from exlab_wizard.transfer.destination.merge import Comparison, is_known_run
from exlab_wizard.transfer.destination.receipt import format_checksums, format_receipt, parse_checksums, read_owner
from exlab_wizard.transfer.failures import FailureClassifier
from exlab_wizard.transfer.files.tree import Tree, sweep
from exlab_wizard.transfer.ports import Checkpoints, TransferControl, TransferRequest
from exlab_wizard.transfer.source.manifest import (
    CHECKSUMS,
    OWN_FOLDER,
    RECEIPT,
    Manifest,
    check_settled,
    check_unchanged,
    scan,
)

_ROUNDS: Final = 3
_FORBIDDEN_PARTS: Final = frozenset({"", ".", "..", publish.INCOMING, MARKER})


class MountTransfer:
    """One attempt to bring one run to a mounted destination."""

    def __init__(
        self, request: TransferRequest, checkpoints: Checkpoints, control: TransferControl, limiter: TokenBucket
    ) -> None:
        self._request, self._checkpoints, self._control, self._limiter = request, checkpoints, control, limiter
        self._final = request.destination.joinpath(*request.final_parts)
        self._incoming = request.destination / publish.INCOMING / request.job_key
        self._failures = FailureClassifier(
            request.run_path, request.destination, check_online=lambda: probe(request.destination, request.marker_id)
        )
        self._started_at = datetime.now(UTC)

    def run(self) -> Completed:
        """Return when the run is at its final path, read back and equal. On errors too, all threads have ended.

        Raises:
            TransferError: the attempt failed; `kind` decides what happens next.
            TransferWaitError: the source changes, or the destination is offline or full.
            StoppedError: a stop was requested; what was sent is durable and checkpointed.
            ClaimLostError: the job is no longer ours; nothing was touched since.
        """
        self._check_request()
        self._failures.check_online()
        with self._failures.target("Cannot use", self._request.destination):  # what no step below has classified
            if self._is_published():
                self._checkpoints.all_sent()
                publish.remove_empty(self._incoming.parent)
            else:
                self._publish()
        reached(Point.PUBLISH_DONE)
        return Completed(str(self._final))

    def _publish(self) -> None:
        with self._failures.source("Cannot open the run", ""):
            source = Tree(self._request.run_path)
        with source:
            manifest = scan(source, self._failures, self._control.check)
            check_settled(manifest, self._request.run_path, self._request.settle_s, time.time_ns())
            self._bring(source, manifest)

    def _check_request(self) -> None:
        parts = (*self._request.final_parts, self._request.job_key)
        plain = all(part not in _FORBIDDEN_PARTS and "/" not in part and os.sep not in part for part in parts)
        if not self._request.final_parts or not plain:
            hint = "The final path must consist of plain folder names below the destination: correct the settings."
            raise TransferError("Cannot publish to", str(self._final), hint, ErrorKind.CONFIG)

    def _is_published(self) -> bool:
        """Whether an earlier attempt ended between the rename and the note that it was done."""
        with self._failures.target("Cannot read", self._final):
            if os.path.lexists(self._incoming) or not self._final.is_dir():
                return False
            with Tree(self._final) as final:
                owner = read_owner(final)
                ours = (self._request.job_key, self._request.host, str(self._request.run_path))
                if owner is None or (owner.job_key, owner.host, owner.run_path) != ours:
                    return False
                rows = self._checkpoints.load()
                # A database restored from a backup may know less than the receipt: then everything is compared again.
                if len(rows) != owner.files:
                    return False
                for row in rows:
                    there = final.find(row.path)
                    if row.state is not FileState.VERIFIED or there is None or there.st_size != row.size:
                        return False
            publish.sync_way(self._request.destination, self._final)  # the rename may not have been durable
            return True

    def _bring(self, source: Tree, manifest: Manifest) -> None:
        for _ in range(_ROUNDS):
            known = is_known_run(self._final, self._request, self._failures)
            publish.make_folders(self._request.destination, (publish.INCOMING, self._request.job_key), self._failures)
            with suppress(publish.FinalPathTakenError):
                if known:
                    self._merge(source, manifest)
                else:
                    self._publish_new(source, manifest)
                return
        raise publish.conflict(self._final, "It keeps appearing and disappearing while the run is being published.")

    def _tree(self, folder: Path) -> Tree:
        with self._failures.target("Cannot open", folder):
            return Tree(folder)

    def _fill(self, source: Tree, target: Tree, manifest: Manifest, published: Mapping[str, str]) -> dict[str, str]:
        attempt = Attempt(source, target, Ledger(self._checkpoints), self._control, self._limiter, self._failures)
        hashes = fill(attempt, manifest, published)
        check_unchanged(manifest, scan(source, self._failures, self._control.check), self._request.run_path)
        return hashes

    def _publish_new(self, source: Tree, manifest: Manifest) -> None:
        with self._tree(self._incoming) as target:
            hashes = self._fill(source, target, manifest, {})
            clear_unknown(target, manifest, {}, self._failures)
            self._write_own(target, manifest, hashes)
            self._finish_folders(target, manifest)
        # Closed before the rename: file servers refuse to rename an open folder.
        publish.make_folders(self._request.destination, self._request.final_parts[:-1], self._failures)
        self._failures.check_online()
        publish.publish_whole(self._incoming, self._final, self._request.destination, self._failures)

    def _merge(self, source: Tree, manifest: Manifest) -> None:
        with self._tree(self._incoming) as target:
            with self._tree(self._final) as final:
                published = Comparison(source, final, self._control, self._failures).published(manifest)
                with self._failures.target("Cannot flush", self._final):
                    final.sync_names(published)  # `fill` takes away the other name of what a cut-off attempt put there
                self._list_forgotten(final, manifest)
                hashes = self._fill(source, target, manifest, published)
                self._failures.check_online()
                self._publish_additions(target, final, manifest, published)
                # Checksums of what was published earlier stay, even of files that the run no longer has.
                self._write_own(final, manifest, self._listed(final) | hashes)
                self._finish_folders(final, manifest)
            reached(Point.MERGE_BEFORE_CLEAR)
            with self._failures.target("Cannot clear", self._incoming):
                sweep(target, (), (), ())
        with self._failures.target("Cannot remove", self._incoming):
            self._incoming.rmdir()
            # The job that published the run first may have been cut off before the name was durable.
            publish.sync_way(self._request.destination, self._final)
            with suppress(FileNotFoundError):  # another job that ended found it empty
                sync_folder(self._incoming.parent)
        publish.remove_empty(self._incoming.parent)

    def _publish_additions(self, target: Tree, final: Tree, manifest: Manifest, published: Mapping[str, str]) -> None:
        for folder in manifest.folders:
            with self._failures.target("Cannot create the folder", final.root / folder.path), suppress(FileExistsError):
                final.mkdir(folder.path)
        for file in manifest.files:
            if file.path not in published:
                publish.publish_file(target, final, file.path, self._failures)
                reached(Point.MERGE_FILE_PUBLISHED)
        for link in manifest.links:
            with self._failures.target("Cannot create the symlink", final.root / link.path):
                with suppress(FileExistsError):
                    final.symlink(link.target, link.path)
                tolerate_unsupported(final.utime, link.path, link.mtime_ns)
        finish_folders(final, manifest.folders, self._failures)

    def _list_forgotten(self, final: Tree, manifest: Manifest) -> None:
        """List the files that a cut-off attempt added and the run no longer has: their rows are about to go."""
        listed, wanted = self._listed(final), {file.path for file in manifest.files}
        forgotten: dict[str, str] = {}
        with self._failures.target("Cannot read back", final.root):
            for row in self._checkpoints.load():
                if row.path in wanted or row.path in listed or row.state is not FileState.VERIFIED:
                    continue
                if final.exists(row.path) and read_hash(final, row.path, row.size, self._control) == row.sha256:
                    forgotten[row.path] = row.sha256
            if forgotten:
                publish.write_own(final, CHECKSUMS, format_checksums(listed | forgotten))

    def _listed(self, final: Tree) -> dict[str, str]:
        path = final.root / CHECKSUMS
        reading = self._failures.target("Cannot read", path)
        with reading, suppress(FileNotFoundError), open(final.open(CHECKSUMS, os.O_RDONLY), "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            try:
                return parse_checksums(file)
            except ValueError as error:
                raise publish.conflict(path, f"It is damaged: {error}.") from error
        return {}

    def _write_own(self, tree: Tree, manifest: Manifest, hashes: Mapping[str, str]) -> None:
        checksums = b"".join(format_checksums(hashes))
        digest = hashlib.sha256(checksums).hexdigest()
        receipt = format_receipt(self._request, manifest, digest, self._started_at)
        with self._failures.target("Cannot write", tree.root / OWN_FOLDER):
            publish.write_own(tree, CHECKSUMS, [checksums])
            reached(Point.RECEIPT_BEFORE_REPLACE)
            publish.write_own(tree, RECEIPT, [receipt])

    def _finish_folders(self, tree: Tree, manifest: Manifest) -> None:
        """Times last: writing into a folder changes them."""
        own = [folder for folder in manifest.folders if folder.path == OWN_FOLDER]
        dress_folders(tree, [*own, manifest.root], self._failures)
        with self._failures.target("Cannot flush", tree.root):
            for name in (OWN_FOLDER, ""):
                tree.sync_folder(name)

"""Fills the incoming folder of a job until it equals the run, verified: what is published is decided elsewhere."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Final

from exlab_wizard.crash_points import Point, reached
from exlab_wizard.domain.job import ErrorKind
from exlab_wizard.errors import TransferError
from exlab_wizard.transfer.copy.bandwidth import TokenBucket
from exlab_wizard.transfer.copy.big_file import send_big_file
from exlab_wizard.transfer.copy.context import PERMISSIONS, Attempt, tolerate_unsupported
from exlab_wizard.transfer.copy.ledger import Ledger
from exlab_wizard.transfer.copy.plan import Plan, check_room, reconcile
from exlab_wizard.transfer.copy.read_back import ReadBack
from exlab_wizard.transfer.copy.small_files import SMALL, SmallFiles
from exlab_wizard.transfer.failures import FailureClassifier
from exlab_wizard.transfer.files import durability
from exlab_wizard.transfer.files.tree import Tree, sweep
from exlab_wizard.transfer.ports import Checkpoints, TransferControl, TransferRequest
from exlab_wizard.transfer.source.manifest import Manifest, SourceFolder, SourceLink
from exlab_wizard.transfer.source.names import check_names

_READ_BACK_BATCH: Final = 500
_OWNER: Final = 0o700


class Incoming:
    """One job's incoming folder while an attempt works on it."""

    def __init__(
        self,
        request: TransferRequest,
        checkpoints: Checkpoints,
        control: TransferControl,
        limiter: TokenBucket,
        failures: FailureClassifier,
    ) -> None:
        """Remember the collaborators; nothing is touched."""
        self._request, self._checkpoints, self._control = request, checkpoints, control
        self._limiter, self._failures = limiter, failures

    def fill(self, source: Tree, target: Tree, manifest: Manifest, published: Mapping[str, str]) -> Ledger:
        """Bring all of `manifest` but the `published` files into `target`; every row is VERIFIED, durably, on return.

        Raises:
            TransferError: see its kind.
            TransferWaitError: the source changes, or the destination is offline or full.
            StoppedError: a stop was requested; what was sent is durable and checkpointed.
            ClaimLostError: the job is no longer ours.
        """
        self.clear_unknown(target, manifest, published)
        check_names(manifest, target, self._failures)
        with self._failures.target("Cannot read", target.root):
            plan = reconcile(manifest.files, self._checkpoints.load(), published, target)
        ledger = Ledger(self._checkpoints, plan.rows, (len(manifest.files), manifest.size))
        ledger.start(plan.put, plan.drop)
        check_room(plan, self._request.destination, self._failures)
        mask = durability.umask()
        attempt = Attempt(source, target, ledger, self._control, self._limiter, self._failures, mask)
        self._make_folders(target, manifest.folders)
        self._send(attempt, manifest, plan)
        ledger.record([])
        self._check_links(target, manifest.links)
        return ledger

    def clear_unknown(self, target: Tree, manifest: Manifest, published: Collection[str]) -> None:
        """Delete the entries of `target` that are not to be published from there.

        Raises:
            TransferError: it cannot be deleted.
            TransferWaitError: the destination is offline.
        """
        with self._failures.target("Cannot clear", target.root):
            sweep(
                target,
                {file.path for file in manifest.files if file.path not in published},
                {link.path for link in manifest.links},
                {folder.path for folder in manifest.folders},
            )

    def _send(self, attempt: Attempt, manifest: Manifest, plan: Plan) -> None:
        with ReadBack(attempt) as read_back:
            for at in range(0, len(plan.read_back), _READ_BACK_BATCH):
                read_back.put(plan.read_back[at : at + _READ_BACK_BATCH])
            SmallFiles(attempt, read_back).send(file for file in plan.send if file.size <= SMALL)
            for file in plan.send:
                if file.size > SMALL:
                    read_back.check()
                    send_big_file(attempt, file)
            self._make_links(attempt.target, manifest.links)
            self.dress_folders(attempt.target, manifest.folders)
            self.sync_folders(attempt.target, ["", *(folder.path for folder in manifest.folders)])
            self._failures.check_online()
            read_back.check()
            reached(Point.VERIFY_BEFORE_NOTED)
            self._checkpoints.all_sent()
            reached(Point.VERIFY_NOTED)
            read_back.finish()

    def _make_folders(self, target: Tree, folders: Collection[SourceFolder]) -> None:
        for folder in folders:
            self._control.check()
            failing = self._failures.target("Cannot create the folder", target.root / folder.path)
            with failing, suppress(FileExistsError):
                target.mkdir(folder.path)

    def _make_links(self, target: Tree, links: Collection[SourceLink]) -> None:
        for link in links:
            self._control.check()
            try:
                exists = target.exists(link.path)
                if exists and os.fsdecode(target.readlink(link.path)) != link.target:
                    target.unlink(link.path)
                    exists = False
                if not exists:
                    target.symlink(link.target, link.path)
                # Also if it existed: an earlier attempt may have been killed before this.
                tolerate_unsupported(target.utime, link.path, link.mtime_ns)
            except OSError as error:
                self._failures.check_online()
                hint = (
                    "The destination does not support symlinks: in the run, replace it with what it points to,"
                    " or remove it; then retry the job."
                )
                path, cause = str(target.root / link.path), error.strerror or ""
                raise TransferError("Cannot create the symlink", path, hint, ErrorKind.CONFIG, cause) from error

    def _check_links(self, target: Tree, links: Collection[SourceLink]) -> None:
        for link in links:
            with self._failures.target("Cannot read back", target.root / link.path):
                found = os.fsdecode(target.readlink(link.path))
            if found != link.target:
                hint = f"It points to {found!r} instead of {link.target!r}. If this happens again, check the NAS."
                raise TransferError("Cannot verify", str(target.root / link.path), hint, ErrorKind.HASH_MISMATCH)

    def dress_folders(self, target: Tree, folders: Collection[SourceFolder]) -> None:
        """Give folders the times and permissions of their sources; the owner can always write into them.

        Raises:
            TransferError: a folder is gone, or the system refuses.
            TransferWaitError: the destination is offline.
        """
        for folder in folders:
            with self._failures.target("Cannot set the times of", target.root / folder.path):
                if os.name != "nt":
                    tolerate_unsupported(target.chmod, folder.path, (folder.mode & PERMISSIONS) | _OWNER)
                tolerate_unsupported(target.utime, folder.path, folder.mtime_ns)

    def sync_folders(self, target: Tree, names: Collection[str]) -> None:
        """Make the entries of the named folders durable.

        Raises:
            TransferError: they are not.
            TransferWaitError: the destination is offline.
        """
        with self._failures.target("Cannot flush", target.root):
            if target.syncs_at_once():
                target.sync_all()
                return
            for name in names:
                target.sync_folder(name)

"""Fills the incoming folder of a job until it equals the run, verified: what is published is decided elsewhere."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import Final

from exlab_wizard.crash_points import Point, reached
from exlab_wizard.domain.job import ErrorKind
from exlab_wizard.errors import TransferError
from exlab_wizard.transfer.copy.big_file import send_big_file
from exlab_wizard.transfer.copy.context import PERMISSIONS, Attempt, tolerate_unsupported
from exlab_wizard.transfer.copy.plan import Plan, check_room, reconcile
from exlab_wizard.transfer.copy.read_back import check_batch
from exlab_wizard.transfer.copy.small_files import SMALL, SmallFiles
from exlab_wizard.transfer.copy.stage import PipelineStage
from exlab_wizard.transfer.failures import FailureClassifier
from exlab_wizard.transfer.files.tree import Tree, sweep
from exlab_wizard.transfer.source.manifest import Manifest, SourceFolder, SourceLink
from exlab_wizard.transfer.source.names import check_names

_READ_BACK_BATCH: Final = 500
_OWNER: Final = 0o700


def fill(attempt: Attempt, manifest: Manifest, published: Mapping[str, str]) -> dict[str, str]:
    """Bring all of `manifest` but the `published` files into the target; all is verified, durably, on return.

    It returns path to SHA-256 of all files of the run.

    Raises:
        TransferError: see its kind.
        TransferWaitError: the source changes, or the destination is offline or full.
        StoppedError: a stop was requested; what was sent is durable and checkpointed.
        ClaimLostError: the job is no longer ours.
    """
    target, ledger, failures = attempt.target, attempt.ledger, attempt.failures
    clear_unknown(target, manifest, published, failures)
    check_names(manifest, target, failures)
    with failures.target("Cannot read", target.root):
        plan = reconcile(manifest.files, ledger.checkpoints.load(), published, target)
    ledger.start(plan)
    check_room(plan, failures)
    _make_folders(attempt, manifest.folders)
    _send(attempt, manifest, plan)
    ledger.record([])
    _check_links(attempt, manifest.links)
    return {path: row.sha256 or "" for path, row in ledger.rows.items()}


def clear_unknown(target: Tree, manifest: Manifest, published: Collection[str], failures: FailureClassifier) -> None:
    """Delete the entries of `target` that are not to be published from there.

    Raises:
        TransferError: it cannot be deleted.
        TransferWaitError: the destination is offline.
    """
    files = {file.path for file in manifest.files if file.path not in published}
    links, folders = {link.path for link in manifest.links}, {folder.path for folder in manifest.folders}
    with failures.target("Cannot clear", target.root):
        sweep(target, files, links, folders)


def _send(attempt: Attempt, manifest: Manifest, plan: Plan) -> None:
    with PipelineStage("read-back", partial(check_batch, attempt)) as read_back:
        for at in range(0, len(plan.read_back), _READ_BACK_BATCH):
            read_back.put(plan.read_back[at : at + _READ_BACK_BATCH])
        SmallFiles(attempt, read_back).send(file for file in plan.send if file.size <= SMALL)
        for file in plan.send:
            if file.size > SMALL:
                read_back.check()
                send_big_file(attempt, file)
        _make_links(attempt, manifest.links)
        finish_folders(attempt.target, manifest.folders, attempt.failures)
        attempt.failures.check_online()
        read_back.check()
        reached(Point.VERIFY_BEFORE_NOTED)
        attempt.ledger.checkpoints.all_sent()
        reached(Point.VERIFY_NOTED)
        read_back.finish()


def _make_folders(attempt: Attempt, folders: Collection[SourceFolder]) -> None:
    for folder in folders:
        attempt.control.check()
        with attempt.on_target("Cannot create the folder", folder.path), suppress(FileExistsError):
            attempt.target.mkdir(folder.path)


def _make_links(attempt: Attempt, links: Collection[SourceLink]) -> None:
    target = attempt.target
    for link in links:
        attempt.control.check()
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
            attempt.failures.check_online()
            hint = (
                "The destination does not support symlinks: in the run, replace the symlink with its target"
                " or remove it, then retry the job."
            )
            path, cause = str(target.root / link.path), error.strerror or ""
            raise TransferError("Cannot create the symlink", path, hint, ErrorKind.CONFIG, cause) from error


def _check_links(attempt: Attempt, links: Collection[SourceLink]) -> None:
    for link in links:
        with attempt.on_target("Cannot read back", link.path):
            found = os.fsdecode(attempt.target.readlink(link.path))
        if found != link.target:
            hint = f"It points to {found!r} instead of {link.target!r}. If this happens again, check the NAS."
            path = str(attempt.target.root / link.path)
            raise TransferError("Cannot verify", path, hint, ErrorKind.HASH_MISMATCH)


def dress_folders(target: Tree, folders: Collection[SourceFolder], failures: FailureClassifier) -> None:
    """Give folders the times and permissions of their sources; the owner can always write into them.

    Raises:
        TransferError: a folder is gone, or the system refuses.
        TransferWaitError: the destination is offline.
    """
    for folder in folders:
        with failures.target("Cannot set the times of", target.root / folder.path):
            if os.name != "nt":
                tolerate_unsupported(target.chmod, folder.path, (folder.mode & PERMISSIONS) | _OWNER)
            tolerate_unsupported(target.utime, folder.path, folder.mtime_ns)


def finish_folders(target: Tree, folders: Collection[SourceFolder], failures: FailureClassifier) -> None:
    """Do what `dress_folders` does, which raises the same, and make the entries of the folders and the root durable."""
    dress_folders(target, folders, failures)
    with failures.target("Cannot flush", target.root):
        if target.syncs_at_once():
            target.sync_all()
            return
        for name in ("", *(folder.path for folder in folders)):
            target.sync_folder(name)

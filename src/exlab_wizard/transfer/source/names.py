"""Finds the names of a run that a destination does not support, before a byte is sent.

Only names that some system is known to refuse are tried, each once, so that ordinary runs cost nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import Final

from exlab_wizard.domain.job import ErrorKind
from exlab_wizard.errors import TransferError
from exlab_wizard.transfer.failures import FailureClassifier
from exlab_wizard.transfer.files.tree import Tree, remove_folder
from exlab_wizard.transfer.source.manifest import Manifest

PROBE_FOLDER: Final = ".exlab-name-probe"
_NAMED: Final = 5
_SAFE_LENGTH: Final = 63  # characters of at most 4 bytes stay below 255
_LONGEST: Final = 255
_RESERVED: Final = re.compile(r"\A(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|\Z)", re.IGNORECASE)
_CHARACTERS: Final = re.compile(r'[<>:"|?*\\\x00-\x1f\x7f\ud800-\udfff]|[. ]\Z')


def check_names(manifest: Manifest, target: Tree, failures: FailureClassifier) -> None:
    """Return when the file system of `target` keeps all names of the run apart and as they are.

    Raises:
        TransferError: config, listing up to five that it does not.
    """
    paths = [*(f.path for f in manifest.files), *(f.path for f in manifest.folders), *(k.path for k in manifest.links)]
    suspicious: dict[str, str] = {}
    for path in paths:
        name = path.rpartition("/")[2]
        if _is_suspicious(name):
            suspicious.setdefault(name, path)
    collisions = _collisions(paths)
    if not suspicious and not collisions:
        return
    with failures.target("Cannot create", target.root / PROBE_FOLDER):
        _clear(target)
        target.mkdir(PROBE_FOLDER)
        try:
            refused = [path for name, path in suspicious.items() if not _takes(target, name)]
            folded = collisions if collisions and _ignores_case(target) else []
        finally:
            _clear(target)
    faults = [f"{path!r} (not supported)" for path in refused]
    faults += [f"{path!r} (differs from another name only in upper and lower case)" for path in folded]
    if faults:
        listed = ", ".join(faults[:_NAMED]) + (f" and {len(faults) - _NAMED} more" if len(faults) > _NAMED else "")
        hint = f"The destination does not support these names: {listed}. Rename them in the run, then retry the job."
        raise TransferError("Cannot copy to", str(target.root), hint, ErrorKind.CONFIG)


def _is_suspicious(name: str) -> bool:
    if len(name) > _SAFE_LENGTH and len(os.fsencode(name)) > _LONGEST:
        return True
    return _CHARACTERS.search(name) is not None or _RESERVED.match(name) is not None


def _collisions(paths: list[str]) -> list[str]:
    first: dict[str, str] = {}
    return [path for path in paths if first.setdefault(path.casefold(), path) != path]


def _takes(target: Tree, name: str) -> bool:
    """Create `name`, and check that it is listed as itself: some servers replace what they cannot store."""
    path = f"{PROBE_FOLDER}/{name}"
    try:
        os.close(target.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        with target.entries(PROBE_FOLDER) as entries:
            kept = [entry.name for entry in entries] == [name]
        target.unlink(path)
    except (OSError, ValueError):
        with contextlib.suppress(OSError):
            target.unlink(path)
        return False
    return kept


def _ignores_case(target: Tree) -> bool:
    os.close(target.open(f"{PROBE_FOLDER}/case", os.O_WRONLY | os.O_CREAT))
    return target.exists(f"{PROBE_FOLDER}/CASE")


def _clear(target: Tree) -> None:
    if target.exists(PROBE_FOLDER):
        remove_folder(target, PROBE_FOLDER)

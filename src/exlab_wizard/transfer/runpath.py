"""Refuses run paths that cannot be meant, in one line that says what to do instead."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from exlab_wizard.domain.job import ErrorKind
from exlab_wizard.errors import TransferError


def check_run_path(run_path: Path, destinations: Mapping[str, Path]) -> None:
    """Return when `run_path` is a folder that can be read and has nothing to do with any of the named `destinations`.

    Symlinks are resolved for the comparison.

    Raises:
        TransferError: source_missing when there is nothing, config for everything else.
    """
    try:
        run_path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _refused(run_path, "Give the path of an existing run folder.", ErrorKind.SOURCE_MISSING, error) from error
    except (OSError, ValueError) as error:
        raise _refused(run_path, "Give a path that this account can read.", ErrorKind.CONFIG, error) from error
    if not run_path.is_dir():
        raise _refused(run_path, "It is a file: give the run folder that holds it.", ErrorKind.CONFIG)
    if not os.access(run_path, os.R_OK | os.X_OK):
        hint = "Make it readable for the account that runs exlab-wizard."
        raise _refused(run_path, hint, ErrorKind.CONFIG)
    here = run_path.resolve()
    for name, destination in destinations.items():
        there = destination.resolve()
        if here.is_relative_to(there):
            hint = f"It lies inside the destination {name!r} ({there}): give the local folder of the run."
            raise _refused(run_path, hint, ErrorKind.CONFIG)
        if there.is_relative_to(here):
            hint = f"It contains the destination {name!r} ({there}): give one run folder below it."
            raise _refused(run_path, hint, ErrorKind.CONFIG)


def _refused(run_path: Path, hint: str, kind: ErrorKind, error: BaseException | None = None) -> TransferError:
    cause = (getattr(error, "strerror", None) or str(error)) if error else ""
    return TransferError("Cannot sync", str(run_path), hint, kind, cause)
